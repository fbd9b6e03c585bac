"""A receiver in a process of its own, with a log that the tests judge by; plugins that call it."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from httpx2 import AsyncClient

SCOPES = ("plugins:read", "plugins:manage", "articles:read", "articles:write", "articles:publish")
Install = Callable[..., Awaitable[dict[str, Any]]]


@dataclass
class Receiver:
    """`url` and a manner of `receiver.py` are an address; `calls` is what its log tells."""

    url: str
    log: Path

    def calls(self, manner: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return [line for line in lines if manner in (None, line["manner"])]


@pytest.fixture(scope="session")
async def receiving(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Receiver, None]:
    log = tmp_path_factory.mktemp("receiver") / "log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(__file__).with_name("receiver.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), str(port), str(log), env={"PATH": os.environ["PATH"]}
    )
    async with asyncio.timeout(10):
        while True:
            try:
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                break
            except OSError:
                await asyncio.sleep(0.01)
    yield Receiver(f"http://127.0.0.1:{port}", log)
    process.kill()
    await process.wait()


@pytest.fixture
def receiver(receiving: Receiver) -> Receiver:
    receiving.log.write_text("")
    return receiving


@pytest.fixture
async def client(tenant_client: Callable[..., Awaitable[AsyncClient]]) -> AsyncClient:
    """A program of the tenant."""
    return await tenant_client(*SCOPES)


@pytest.fixture
def install(client: AsyncClient, receiver: Receiver) -> Install:
    """Installs a plugin whose endpoint answers in a manner; `by` is who does it."""

    async def make(manner: str = "ok", by: AsyncClient = client, **more: Any) -> dict[str, Any]:
        settings, schema = more.pop("settings", {}), more.pop("schema", {})
        manifest = {
            "key": manner,
            "name": f"Says {manner}",
            "version": "1.0.0",
            "endpoint": f"{receiver.url}/{manner}",
            "events": ["article.published"],
            "schema": schema,
        }
        answer = await by.post("/api/v1/plugins", json={"manifest": manifest | more, "values": settings})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    return make


@pytest.fixture
def publish(client: AsyncClient) -> Callable[..., Awaitable[str]]:
    """Writes an article and publishes it; returns its id."""

    async def make(title: str = "News", by: AsyncClient = client) -> str:
        made = await by.post("/api/v1/articles", json={"title": title, "body": "Something happened."})
        assert made.status_code == 201, made.text
        id_ = str(made.json()["id"])
        assert (await by.post(f"/api/v1/articles/{id_}/publication")).status_code == 200
        return id_

    return make
