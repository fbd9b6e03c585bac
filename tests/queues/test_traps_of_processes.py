"""Traps that show in a running worker: what dies between commit and push, what waits long, what cannot be told."""

import asyncio
import errno
import io
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.core.database import Database
from app.queues.engine import Engine
from app.queues.enqueue import enqueue
from app.queues.models import JobRow, State
from app.queues.push import Queues
from app.queues.runner import Runner
from app.queues.slots import WAIT_S
from app.queues.worker import WorkerProcess
from app.redis.link import Link
from tests.queues.conftest import Ledger
from tests.queues.kinds import PLATFORM, QUICK, Fail, Note

Until = Callable[..., Awaitable[JobRow]]


@pytest.fixture
async def start(own_database: Database, engine: Engine, quick_runner: Runner, worker_redis: Link) -> Any:
    """Starts a worker, which leads the loops too, when the test wants it."""
    stop, tasks = asyncio.Event(), []

    def begin() -> None:
        process = WorkerProcess(own_database, engine, quick_runner, [QUICK], concurrency=5, client=worker_redis)
        tasks.append(asyncio.create_task(process.run(stop)))

    yield begin
    stop.set()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.trap(1)
async def test_a_job_whose_process_died_between_commit_and_push_runs_once(
    own_database: Database,
    engine: Engine,
    start: Callable[[], None],
    until_state: Until,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def died(*_: Any) -> None:
        pass

    with monkeypatch.context() as patch:
        patch.setattr(Queues, "push", died)
        async with own_database.transaction(PLATFORM) as session:
            job_id = await enqueue(session, Note(text="kept"))
    assert not await engine.client.exists(engine.key(QUICK.engine_name, str(job_id)))
    start()
    await until_state(job_id, State.COMPLETED)
    assert ledger.notes == ["kept"]


async def waits(engine: Engine) -> set[str]:
    """The sockets on which somebody waits for jobs, by Redis' numbers for them."""
    async with asyncio.timeout(10):
        while True:
            found = {one["id"] for one in await engine.client.client_list() if one["cmd"] == "bzpopmin"}
            if found:
                return found
            await asyncio.sleep(0.01)


@pytest.mark.trap(3)
async def test_a_worker_that_had_nothing_to_do_for_longer_than_a_read_may_last_runs_what_comes_due(
    own_database: Database, engine: Engine, start: Callable[[], None], until_state: Until, ledger: Ledger
) -> None:
    start()
    before = await waits(engine)
    async with own_database.transaction(PLATFORM) as session:
        due = datetime.now(UTC) + timedelta(seconds=WAIT_S + 1)
        job_id = await enqueue(session, Note(text="later"), run_at=due)
    await until_state(job_id, State.COMPLETED)
    assert ledger.notes == ["later"]
    assert await waits(engine) == before, "no wait was broken off: what it had popped would be lost"


class _Full(io.StringIO):
    """Standard error on a disk that is full."""

    refused = 0

    def write(self, _: str) -> int:
        self.refused += 1
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.trap(5)
async def test_a_worker_whose_log_is_on_a_full_disk_works_on(
    own_database: Database,
    worker: WorkerProcess,
    until_state: Until,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = _Full()
    monkeypatch.setattr(sys, "stderr", full)
    ids = []
    for job in (Fail(message="boom"), Note(text="after it")):
        async with own_database.transaction(PLATFORM) as session:
            ids.append(await enqueue(session, job))
        await until_state(ids[-1], State.DEAD, State.COMPLETED)
    assert (ledger.dead, ledger.notes) == (["boom"], ["after it"])
    assert full.refused >= QUICK.attempts, "there was something to tell"
