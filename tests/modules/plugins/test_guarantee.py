"""What is promised when a worker dies: judged by the receiver's log against the events that were announced."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.settings import Settings, given
from tests.modules.plugins.conftest import Install, Receiver
from tests.modules.plugins.test_delivery import newest, verified

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def workers(settings: Settings) -> AsyncGenerator[Callable[[], Awaitable[Process]], None]:
    """Starts workers of the webhooks' queue, each a process of its own."""
    started: list[Process] = []
    environment = given(settings) | {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}

    async def start() -> Process:
        command = (sys.executable, "-m", "app.cli", "worker", "--queues", "plugin:webhooks")
        started.append(await asyncio.create_subprocess_exec(*command, env=environment))
        return started[-1]

    yield start
    for process in started:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while True:
            found = condition()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.02)


@pytest.mark.promise("S4-73")
async def test_a_worker_killed_between_the_call_and_the_commit_delivers_again_under_the_same_id(
    client: AsyncClient,
    install: Install,
    publish: Callable[..., Awaitable[str]],
    workers: Callable[[], Awaitable[Process]],
    receiver: Receiver,
    admin: asyncpg.Connection,
) -> None:
    held, plain = await install("hold"), await install("ok")
    worker = await workers()
    articles = [await publish(f"News {n}") for n in range(2)]
    # The receiver has taken all of them; the worker has not heard so, and never will.
    await until(lambda: len({call["id"] for call in receiver.calls("hold")}) == len(articles))
    worker.send_signal(signal.SIGKILL)
    await worker.wait()
    await workers()

    async def ended() -> bool:
        return not await admin.fetchval("SELECT count(*) FROM plugin_delivery WHERE status <> 'delivered'")

    await until(ended)
    for manner, plugin in (("hold", held), ("ok", plain)):
        told: dict[str, set[str]] = {}
        for call in receiver.calls(manner):
            told.setdefault(call["id"], set()).add(verified(call, plugin["signingSecret"])["data"]["articleId"])
        # One message for each event, each told under one id, however often; none is lost and none is made up.
        assert sorted(one for (one,) in told.values()) == sorted(articles)
    again = [call["id"] for call in receiver.calls("hold")]
    assert len(again) > len(set(again)), "those that were in hand came once more"
    tries = (await newest(client, pluginId=held["id"]))["tries"]
    assert [one["error"] for one in tries] == ["the worker was lost during this try", None]
    assert await admin.fetchval("SELECT count(*) FROM plugin_execution_log WHERE finished_at IS NULL") == 0
