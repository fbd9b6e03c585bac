"""How the web server ends: at SIGTERM, whoever still looks."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from httpx2 import AsyncClient, HTTPError

from app.core.settings import Settings
from app.embedded.servers import Urls

ROOT = Path(__file__).parents[2]
START_S, END_S = 30.0, 8.0
VIEWERS = 5


async def until_it_answers(client: AsyncClient, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_S):
        while True:
            assert process.returncode is None
            try:
                await client.get("/health")
            except HTTPError:
                await asyncio.sleep(0.05)
            else:
                return


@pytest.mark.trap(42)
async def test_open_streams_do_not_hold_up_the_end_of_web(
    owner: AsyncClient, servers: Urls, settings: Settings
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    secrets = {name.upper(): getattr(settings, name) for name in ("secret_key", "jwt_secret", "encryption_key")}
    own = {"APP_ENV": "test", "PORT": str(port), "PYTHONPATH": str(ROOT), "TEKNAV_DATA_DIR": str(settings.data_dir)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "web", cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | servers.environment() | secrets | own,
    )  # fmt: skip
    try:
        cookie = {"Cookie": f"teknav_session={owner.cookies['teknav_session']}"}
        async with AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=cookie, timeout=START_S) as viewer:
            await until_it_answers(viewer, process)
            opened, ended = asyncio.Semaphore(0), []

            async def look() -> None:
                async with viewer.stream("GET", "/dashboard/live?topics=queues") as stream:
                    assert stream.status_code == 200
                    opened.release()
                    ended.append(b"".join([part async for part in stream.aiter_raw()]))

            async with asyncio.TaskGroup() as group:
                for _ in range(VIEWERS):
                    group.create_task(look())
                for _ in range(VIEWERS):
                    await opened.acquire()
                process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(END_S):
                    await process.wait()
            assert len(ended) == VIEWERS, "each stream has ended as a whole answer"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
