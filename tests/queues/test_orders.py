"""What people want of a worker process: it is told by a signal, and finds out by itself where that got lost."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from redis.asyncio import Redis
from sqlalchemy import select, update

from app.core.database import SYSTEM, Database, Plane, Scope
from app.core.ids import new_id
from app.core.live import Broker
from app.queues import clock as clock_module
from app.queues import orders as orders_module
from app.queues.cancel import cancel
from app.queues.clock import clock
from app.queues.engine import Engine
from app.queues.enqueue import enqueue
from app.queues.job import Kinds
from app.queues.models import AttemptRow, Command, JobRow, QueueRow, State, WorkerRow, WorkerState
from app.queues.orders import tell_limits, tell_worker
from app.queues.runner import Runner
from app.queues.worker import WorkerProcess
from tests.queues.conftest import Ledger
from tests.queues.kinds import PLATFORM, QUICK, Note, Sin

SLOW = dataclasses.replace(QUICK, timeout_s=60)
Until = Callable[..., Awaitable[JobRow]]
Start = Callable[..., Awaitable[UUID]]


@pytest.fixture
async def start(
    app: Litestar, own_database: Database, engine: Engine, kinds: Kinds, worker_redis: Redis
) -> AsyncGenerator[Start, None]:
    """Starts a worker; returns its id. It is there and has told so."""
    running: list[tuple[asyncio.Event, asyncio.Task[None]]] = []

    async def make(broker: Broker | None = app.state.process.broker) -> UUID:
        worker, stop = new_id(), asyncio.Event()
        runner = Runner(own_database, kinds, {QUICK.name: SLOW}, worker)
        process = WorkerProcess(
            own_database, engine, runner, [SLOW], concurrency=3, client=worker_redis, broker=broker
        )  # fmt: skip
        running.append((stop, asyncio.create_task(process.run(stop))))
        await until(lambda: told(own_database, worker))
        return worker

    yield make
    for stop, task in running:
        stop.set()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(10):
        while not (found := await condition()):
            await asyncio.sleep(0.02)
    return found


async def told(database: Database, worker: UUID) -> WorkerRow | None:
    async with database.transaction(SYSTEM) as session:
        return await session.get(WorkerRow, worker)


async def measured(right: Callable[[], float]) -> bool:
    return abs(clock.now() - right()) < 1


async def tell(database: Database, worker: UUID, command: Command | None, *, aloud: bool = True) -> None:
    async with database.transaction(PLATFORM) as session:
        await session.execute(update(WorkerRow).where(WorkerRow.id == worker).values(command=command))
        if aloud:
            tell_worker(session, worker)


async def is_in(database: Database, worker: UUID, state: WorkerState) -> bool:
    row = await told(database, worker)
    return row is not None and row.state == state


async def ask(database: Database, job: Note | Sin) -> UUID:
    async with database.transaction(PLATFORM) as session:
        return await enqueue(session, job)


@pytest.mark.parametrize("heard", [True, False], ids=["by signal", "without a signal"])
async def test_a_running_job_is_cancelled_and_its_processor_told(
    start: Start, app: Litestar, own_database: Database, until_state: Until, ledger: Ledger, engine: Engine,
    heard: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if heard:
        monkeypatch.setattr(orders_module, "LOOK_S", 60.0)
    await start(app.state.process.broker if heard else None)
    job = await ask(own_database, Sin(what="wait"))
    row = await until_state(job, State.ACTIVE)
    async with own_database.transaction(PLATFORM) as session:
        await cancel(session, row, by="owner@example.org")
    row = await until_state(job, State.CANCELLED)
    assert (row.attempts_made, ledger.dead) == (0, ["the job was cancelled"])
    async with own_database.transaction(SYSTEM) as session:
        [attempt] = (await session.scalars(select(AttemptRow).filter_by(job_id=job))).all()
    assert (attempt.error_class, attempt.error_message) == ("Cancelled", "cancelled by owner@example.org")
    await until(lambda: _are(engine, row, "unknown"))


async def _are(engine: Engine, row: JobRow, place: str) -> bool:
    return await engine.places([row]) == [place]


@pytest.mark.parametrize("aloud", [True, False], ids=["by signal", "without a signal"])
async def test_a_quiet_worker_finishes_what_it_has_and_starts_nothing_until_it_is_to_go_on(
    start: Start, own_database: Database, until_state: Until, engine: Engine, ledger: Ledger, aloud: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if aloud:
        monkeypatch.setattr(orders_module, "LOOK_S", 60.0)
    worker = await start()
    held = await ask(own_database, Sin(what="release"))
    await until_state(held, State.ACTIVE)
    await tell(own_database, worker, Command.QUIET, aloud=aloud)
    await until(lambda: is_in(own_database, worker, WorkerState.QUIET))
    waits = await ask(own_database, Note(text="later"))
    ledger.release.set()
    await until_state(held, State.COMPLETED)
    assert (await until_state(waits, State.QUEUED, State.PENDING)).started_at is None
    assert ledger.notes == []
    await tell(own_database, worker, None, aloud=aloud)
    await until_state(waits, State.COMPLETED)
    await until(lambda: is_in(own_database, worker, WorkerState.RUNNING))


async def test_a_worker_that_is_told_to_stop_ends_and_leaves_the_list(start: Start, own_database: Database) -> None:
    worker, other = await start(), await start()
    await tell(own_database, worker, Command.STOP)

    async def gone() -> bool:
        return await told(own_database, worker) is None

    await until(gone)
    assert await told(own_database, other) is not None


async def test_the_heartbeat_tells_what_the_worker_has_in_hand(
    start: Start, own_database: Database, until_state: Until, ledger: Ledger
) -> None:
    worker = await start()
    jobs = [await ask(own_database, Sin(what="release")) for _ in range(2)]
    for job in jobs:
        await until_state(job, State.ACTIVE)

    async def full() -> WorkerRow | None:
        row = await told(own_database, worker)
        return row if row and len(row.in_hand) == 2 and row.leads else None

    row = await until(full)
    assert {one["id"] for one in row.in_hand} == {str(job) for job in jobs}
    assert {(one["kind"], one["queue"]) for one in row.in_hand} == {("sin", QUICK.name)}
    assert row.jobs == 2 and row.queues == [QUICK.name] and row.state == WorkerState.RUNNING
    assert row.memory_bytes > 10_000_000 and row.lag_ms is not None
    ledger.release.set()


async def limit(database: Database, limits: dict[str, Any] | None) -> None:
    async with database.transaction(PLATFORM) as session:
        row = await session.get(QueueRow, QUICK.name) or QueueRow(name=QUICK.name)
        row.limits = limits
        session.add(row)
        tell_limits(session, QUICK.name)


async def test_limits_are_taken_over_while_the_worker_runs(
    start: Start, own_database: Database, until_state: Until, row_of: Callable[[UUID], Awaitable[JobRow]],
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(orders_module, "LOOK_S", 60.0)
    await limit(own_database, {"running": 1})
    await start()
    jobs = [await ask(own_database, Sin(what="release")) for _ in range(3)]
    await until_state(jobs[0], State.ACTIVE)
    assert [(await row_of(job)).started_at for job in jobs[1:]] == [None, None]
    await limit(own_database, None)
    for job in jobs:
        await until_state(job, State.ACTIVE)
    ledger.release.set()


async def test_one_tenants_flood_lets_the_other_pass(
    start: Start, own_database: Database, until_state: Until, ledger: Ledger, make_tenant: Any
) -> None:
    flooding, other = await make_tenant("Flood"), await make_tenant("Other")
    await limit(own_database, {"running_per_tenant": 1})
    await start()
    async with own_database.transaction(Scope(Plane.TENANT, flooding.id)) as session:
        flood = [await enqueue(session, Sin(what="release")) for _ in range(50)]
    async with own_database.transaction(Scope(Plane.TENANT, other.id)) as session:
        lone = await enqueue(session, Note(text="me too"))
    await until_state(lone, State.COMPLETED)
    assert ledger.notes == ["me too"]
    ledger.release.set()
    for job in flood:
        await until_state(job, State.COMPLETED)


@pytest.mark.trap(23)
async def test_a_clock_that_is_hours_ahead_runs_no_delayed_job_early(
    start: Start, own_database: Database, until_state: Until, worker_redis: Redis, engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    right = clock_module.time.time

    class Ahead:
        monotonic = clock_module.time.monotonic

        @staticmethod
        def time() -> float:
            return right() + 7200

    monkeypatch.setattr(clock_module, "time", Ahead)
    try:
        assert abs(clock.now() - right() - 7200) < 1, "it is wrong before it is measured"
        await start()
        await until(lambda: measured(right))
        async with own_database.transaction(PLATFORM) as session:
            later = await enqueue(session, Note(text="x"), run_at=datetime.now(UTC) + timedelta(seconds=1))
        row = await until_state(later, State.COMPLETED)
        assert row.started_at is not None
        assert (row.started_at - row.run_at).total_seconds() > -0.1
    finally:
        clock.offset_s = 0.0
