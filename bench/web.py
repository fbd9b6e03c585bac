"""What asking for a job costs a request: beside the cheapest route of the same web process that knows its caller."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from app import registry
from app.core.database import Plane
from app.core.policy import Actor
from app.core.settings import load
from app.modules.tenants.service import TenantService
from app.modules.tokens.service import TokenService
from app.process import Process
from bench.contest import Failed, percentile
from bench.servers import Ground

START_S = 30.0
SCOPES = ("articles:read", "articles:write", "ai:run")
WARM_UP = 20


async def enqueueing(ground: Ground, requests: int) -> dict[str, Any]:
    """95th percentiles in milliseconds of both, one request at a time in turns, and their ratio.

    Each article is asked a summary for once, so that every such request writes and pushes a job.
    """
    await ground.empty()
    async with served(ground, {"Authorization": f"Bearer {await _token(ground)}"}) as client:
        articles = []
        for number in range(requests + WARM_UP):
            made = await client.post("/api/v1/articles", json={"title": f"Number {number}", "body": "One. Two. Three."})
            articles.append(made.raise_for_status().json()["id"])
        cheapest: list[float] = []
        asking: list[float] = []
        for article in articles:
            cheapest.append(await _timed(client, "GET", f"/api/v1/articles/{article}"))
            asking.append(await _timed(client, "POST", f"/api/v1/articles/{article}/summaries"))
    low, high = percentile(cheapest[WARM_UP:], 95), percentile(asking[WARM_UP:], 95)
    return {"cheapest_p95_ms": low, "enqueue_p95_ms": high, "ratio": high / low}


async def _timed(client: httpx2.AsyncClient, method: str, path: str) -> float:
    started = time.perf_counter()
    answer = await client.request(method, path)
    took = (time.perf_counter() - started) * 1000
    answer.raise_for_status()
    return took


@asynccontextmanager
async def served(ground: Ground, headers: Mapping[str, str]) -> AsyncIterator[httpx2.AsyncClient]:
    """`teknav web` on loopback, and a client that sends these headers. No worker runs beside it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, **ground.environment, "HOST": "127.0.0.1", "PORT": str(port)}
    web = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from app.cli import main; main()",
        "web",
        env=environment,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            await _until_up(client, web)
            yield client
    finally:
        if web.returncode is None:
            web.terminate()
        await web.wait()


async def _until_up(client: httpx2.AsyncClient, web: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_S):
        while web.returncode is None:
            try:
                (await client.get("/health")).raise_for_status()
                return
            except httpx2.HTTPError:
                await asyncio.sleep(0.05)
    raise Failed(f"the web process ended with {web.returncode}")


async def _token(ground: Ground) -> str:
    process = Process.open(load(ground.environment))
    operator = Actor("cli", None, "cli:bench", frozenset(registry.permissions()), Plane.PLATFORM)
    try:
        async with process.database.transaction(operator.scope) as session:
            tenant = await TenantService(session, operator).create(f"Bench {time.time_ns()}")
            _, secret = await TokenService(session, operator).create(tenant.id, name="bench", scopes=list(SCOPES))
            return str(secret)
    finally:
        await process.close()
