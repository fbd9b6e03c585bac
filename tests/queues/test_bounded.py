"""Handlers that do not let themselves be stopped: at their time limit, by cancelling, and when the worker stops."""

import asyncio
import dataclasses
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from app.core.database import SYSTEM, Database
from app.core.ids import new_id
from app.core.settings import Settings
from app.queues import bounded
from app.queues import worker as worker_module
from app.queues.batch import Batch
from app.queues.cancel import cancel
from app.queues.engine import Engine
from app.queues.enqueue import enqueue
from app.queues.failure import Superseded
from app.queues.job import Kinds, processor
from app.queues.models import EffectRow, JobRow, State
from app.queues.runner import Runner
from app.queues.spec import QueueSpec
from app.queues.work import Work
from app.queues.worker import WorkerProcess
from app.redis.broker import RedisBroker
from tests.queues.conftest import Ledger
from tests.queues.kinds import PLATFORM, QUICK, Note, Sin

Until = Callable[..., Awaitable[JobRow]]
Start = Callable[..., Awaitable[tuple[asyncio.Event, asyncio.Task[None]]]]
SHORT = dataclasses.replace(QUICK, timeout_s=0.3)
LONG = dataclasses.replace(QUICK, timeout_s=60)


@pytest.fixture
async def start(
    own_database: Database, engine: Engine, kinds: Kinds, worker_redis: Redis, ledger: Ledger, settings: Settings
) -> AsyncGenerator[Start, None]:
    """Starts a worker that has one place, so that a job that runs shows that the place is free."""
    begun: list[tuple[asyncio.Event, asyncio.Task[None]]] = []

    async def make(spec: QueueSpec) -> tuple[asyncio.Event, asyncio.Task[None]]:
        runner = Runner(own_database, kinds, {QUICK.name: spec}, new_id())
        broker = RedisBroker(engine.client, worker_redis, settings.key("live", "signals", "all"))
        process = WorkerProcess(own_database, engine, runner, [spec], concurrency=1, client=worker_redis, broker=broker)
        stop = asyncio.Event()
        begun.append((stop, asyncio.create_task(process.run(stop))))
        return begun[-1]

    yield make
    ledger.release.set()
    for stop, task in begun:
        stop.set()
        with suppress(asyncio.CancelledError):
            await task


async def ask(database: Database, job: Note | Sin) -> UUID:
    """A job that has one attempt."""
    async with database.transaction(PLATFORM) as session:
        job_id = await enqueue(session, job)
        await session.execute(update(JobRow).where(JobRow.id == job_id).values(max_attempts=1))
        return job_id


async def refused_for_ever(database: Database, job_id: UUID, ledger: Ledger) -> None:
    """What was let go comes to its end, and leaves no trace in the record."""
    ledger.release.set()
    await asyncio.wait_for(ledger.ended.wait(), 5)
    assert "refused" in ledger.notes
    async with database.transaction(SYSTEM) as session:
        assert await session.scalar(select(func.count()).select_from(EffectRow).filter_by(job_id=job_id)) == 0


@pytest.mark.trap(21)
async def test_a_handler_that_swallows_its_time_limit_is_let_go_and_can_change_nothing_more(
    start: Start, own_database: Database, until_state: Until, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "GRACE_S", 0.2)
    monkeypatch.setattr(bounded, "TELL_EVERY_S", 0.1)
    with capture_logs() as logs:
        await start(SHORT)
        job_id = await ask(own_database, Sin(what="deaf"))
        row = await until_state(job_id, State.DEAD)
        why = "the job took longer than 0.3 s and did not let itself be stopped"
        assert (row.error_class, row.error_message) == ("TimeoutError", why)
        await until_state(await ask(own_database, Note(text="the place is free")), State.COMPLETED)
        await refused_for_ever(own_database, job_id, ledger)
        async with asyncio.timeout(5):
            while "job.stray_ended" not in {one["event"] for one in logs}:
                await asyncio.sleep(0.01)
    assert {"job.handler_let_go", "job.stray_goes_on"} <= {one["event"] for one in logs}
    assert (await until_state(job_id, State.DEAD)).finished_at == row.finished_at


async def test_a_handler_that_swallows_a_cancellation_is_let_go_within_two_seconds(
    start: Start, own_database: Database, until_state: Until, ledger: Ledger
) -> None:
    await start(LONG)
    job_id = await ask(own_database, Sin(what="deaf"))
    row = await until_state(job_id, State.ACTIVE)
    async with own_database.transaction(PLATFORM) as session:
        await cancel(session, row, by="owner@example.org")
    asked = time.monotonic()
    await until_state(job_id, State.CANCELLED)
    assert time.monotonic() - asked < 2.5, "1.5 s of grace, and the signal's way"
    await until_state(await ask(own_database, Note(text="the place is free")), State.COMPLETED)
    await refused_for_ever(own_database, job_id, ledger)
    assert (await until_state(job_id, State.CANCELLED)).attempts_made == 0


async def test_a_worker_that_stops_hands_back_what_does_not_let_itself_be_stopped(
    start: Start, own_database: Database, until_state: Until, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "STOP_S", 0.1)
    monkeypatch.setattr(bounded, "GRACE_S", 0.2)
    stop, task = await start(LONG)
    job_id = await ask(own_database, Sin(what="deaf"))
    await until_state(job_id, State.ACTIVE)
    stop.set()
    await asyncio.wait_for(task, 10)
    # It waits in Redis; or in the record, where the loops' first round, which fills Redis, came this late.
    row = await until_state(job_id, State.QUEUED, State.PENDING)
    assert (row.attempts_made, row.worker) == (0, None)
    await refused_for_ever(own_database, job_id, ledger)


async def test_a_superseded_attempt_takes_no_further_step(own_database: Database, until_state: Until) -> None:
    job_id = await ask(own_database, Note(text="x"))
    await until_state(job_id, State.QUEUED)
    batch = Batch(own_database, new_id())
    first, second = [await batch.open(job_id, 0, first=False) for _ in range(2)]
    assert first is not None
    assert second is not None
    with pytest.raises(Superseded):
        async with Work(own_database, first, {}).transaction("step"):
            pytest.fail("an attempt that is over took a step")
    async with Work(own_database, second, {}).transaction("step") as session:
        assert session is not None
    async with Work(own_database, second, {}).transaction("step") as session:
        assert session is None


async def test_what_a_handler_left_running_does_not_commit_after_its_end(
    own_database: Database, until_state: Until
) -> None:
    job_id = await ask(own_database, Note(text="x"))
    await until_state(job_id, State.QUEUED)
    claim = await Batch(own_database, new_id()).open(job_id, 0, first=False)
    assert claim is not None
    work = Work(own_database, claim, {})
    with pytest.raises(Superseded):
        async with work.transaction("step") as session:
            assert session is not None
            work.end()
    async with own_database.transaction(SYSTEM) as session:
        assert await session.scalar(select(func.count()).select_from(EffectRow).filter_by(job_id=job_id)) == 0


async def test_a_kind_has_a_time_limit_of_its_own(own_database: Database, until_state: Until) -> None:
    @processor(Note, timeout_s=0.2)
    async def slow(work: Work, _: Note) -> None:
        await asyncio.Event().wait()

    runner = Runner(own_database, Kinds((slow,), frozenset([QUICK.name])), {QUICK.name: LONG}, new_id())
    job_id = await ask(own_database, Note(text="x"))
    outcome = await asyncio.wait_for(runner.attempt(job_id, 0), 10)
    assert outcome.failure is not None
    assert outcome.failure.message == "the job took longer than 0.2 s"


def test_a_process_that_stops_waits_for_nothing_that_does_not_end() -> None:
    # The same as `app.worker.run` begins, with two seconds in place of 23.5.
    program = """
import asyncio, time
from app.core.threads import in_thread
from app.worker import leave_within

async def deaf():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

async def main():
    tasks = [asyncio.create_task(deaf()), asyncio.create_task(in_thread(time.sleep, 60))]
    await asyncio.sleep(0)
    leave_within(2)

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], timeout=40, check=False, capture_output=True)
    assert ended.returncode == 0
    assert b"worker.left" in ended.stderr + ended.stdout
