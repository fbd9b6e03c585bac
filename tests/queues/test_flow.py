"""Flows: a parent runs once, when all its children have ended."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from app.core.database import SYSTEM, Database
from app.core.settings import Settings
from app.queues import control, record
from app.queues.cancel import cancel
from app.queues.engine import Engine
from app.queues.enqueue import Wanted
from app.queues.failure import Failure
from app.queues.flow import Flow, enqueue_flow
from app.queues.job import Job, Kinds, processor
from app.queues.models import JobRow, State
from app.queues.runner import Runner
from app.queues.work import Work
from app.queues.worker import WorkerProcess
from tests.queues.conftest import Ledger, begin
from tests.queues.kinds import PLATFORM, QUICK, Fail, Note

Until = Callable[..., Awaitable[JobRow]]
RowOf = Callable[[UUID], Awaitable[JobRow]]


class Gather(Job, kind="gather", queue="test:quick"):
    """A parent that writes down what its children gave it."""

    name: str


@pytest.fixture
def kinds(kinds: Kinds, ledger: Ledger) -> Kinds:
    @processor(Gather)
    async def gather(work: Work, payload: Gather) -> dict[str, Any]:
        found = await work.children()
        texts = [(child.result or {}).get("text", child.state) for child in found]
        ledger.notes.append(f"{payload.name}: {', '.join(texts)}")
        return {"text": payload.name}

    @gather.dead
    async def gather_dead(session: Any, payload: Gather, error: str) -> None:
        ledger.dead.append(f"{payload.name}: {error}")

    kinds._by_kind["gather"] = gather
    return kinds


async def ask(database: Database, flow: Flow) -> UUID:
    async with database.transaction(PLATFORM) as session:
        return await enqueue_flow(session, flow)


async def children_of(database: Database, parent: UUID) -> list[JobRow]:
    async with database.transaction(SYSTEM) as session:
        return list(await session.scalars(select(JobRow).filter_by(parent_id=parent).order_by(JobRow.id)))


def notes(*texts: str, **options: Any) -> list[Flow]:
    return [Flow(job=Note(text=text), **options) for text in texts]


@pytest.mark.trap(22)
async def test_a_parent_waits_outside_redis_and_runs_after_its_children_with_their_results(
    own_database: Database, engine: Engine, until_state: Until, ledger: Ledger, row_of: RowOf, quick_worker: Any
) -> None:
    parent = await ask(own_database, Flow(job=Gather(name="book"), children=notes("one", "two", "three")))
    row = await row_of(parent)
    assert (row.state, row.children) == (State.WAITING_CHILDREN, 3)
    assert await engine.places([row]) == ["unknown"]
    assert await engine.client.llen(engine.key(QUICK.engine_name, "wait")) == 3
    quick_worker()
    row = await until_state(parent, State.COMPLETED)
    assert ledger.notes[-1] == "book: one, two, three"
    assert sorted(ledger.notes[:3]) == ["one", "three", "two"]
    assert row.attempts_made == 1


async def test_a_flow_of_flows_runs_from_the_leaves_to_the_root(
    own_database: Database, until_state: Until, ledger: Ledger, quick_worker: Any
) -> None:
    part = Flow(job=Gather(name="part"), children=notes("a", "b"))
    root = await ask(own_database, Flow(job=Gather(name="root"), children=[part, Note(text="c")]))
    quick_worker()
    await until_state(root, State.COMPLETED)
    assert ledger.notes[-1] == "root: part, c"
    assert "part: a, b" in ledger.notes


async def test_a_dead_child_that_is_required_makes_its_parent_dead_with_the_reason(
    own_database: Database, until_state: Until, ledger: Ledger, quick_worker: Any
) -> None:
    children = [Flow(job=Fail(message="boom")), *notes("fine")]
    parent = await ask(own_database, Flow(job=Gather(name="book"), children=children))
    quick_worker()
    row = await until_state(parent, State.DEAD)
    failed = (await children_of(own_database, parent))[0]
    assert row.error_message == f"the child {failed.id} (fail) is dead"
    assert ledger.dead == ["boom", f"book: {row.error_message}"]
    assert ledger.notes == ["fine"]


async def test_a_dead_child_that_is_not_required_is_told_to_the_parent(
    own_database: Database, until_state: Until, ledger: Ledger, quick_worker: Any
) -> None:
    children = [Flow(job=Fail(message="boom"), required=False), *notes("fine")]
    parent = await ask(own_database, Flow(job=Gather(name="book"), children=children))
    quick_worker()
    await until_state(parent, State.COMPLETED)
    assert ledger.notes[-1] == "book: dead, fine"


@pytest.mark.parametrize("end", ["cancel", "remove"])
async def test_a_child_that_is_cancelled_or_removed_has_ended_too(
    own_database: Database, until_state: Until, ledger: Ledger, row_of: RowOf, quick_worker: Any, end: str
) -> None:
    children = notes("one", "two", required=False)
    parent = await ask(own_database, Flow(job=Gather(name="book"), children=children))
    for child in await children_of(own_database, parent):
        async with own_database.transaction(PLATFORM) as session:
            await (partial(cancel, by="owner@example.org") if end == "cancel" else control.remove)(session, child)
    assert (await row_of(parent)).state in (State.PENDING, State.QUEUED)
    quick_worker()
    await until_state(parent, State.COMPLETED)
    state = "cancelled" if end == "cancel" else "removed"
    assert ledger.notes == [f"book: {state}, {state}"]


async def test_two_last_children_that_end_at_the_same_moment_release_their_parent_once(
    own_database: Database, engine: Engine, row_of: RowOf
) -> None:
    """Each transaction has ended its child before either looks at the other's: without the lock both would wait."""
    parent = await ask(own_database, Flow(job=Gather(name="book"), children=notes(*"abcdefgh")))
    rows = await children_of(own_database, parent)
    barrier = asyncio.Barrier(len(rows))

    async def end(row: JobRow) -> None:
        async with own_database.transaction(SYSTEM) as session:
            await session.execute(select(func.now()))
            await barrier.wait()
            assert await record.bury(session, row, Failure.told("X", "over"), ())

    await asyncio.gather(*(end(row) for row in rows))
    assert (await row_of(parent)).state in (State.PENDING, State.QUEUED)
    assert await engine.places([await row_of(parent)]) == ["here"]
    assert len(await engine.client.lrange(engine.key(QUICK.engine_name, "wait"), 0, -1)) == len(rows) + 1


async def test_an_emptied_redis_loses_no_flow(
    own_database: Database, engine: Engine, until_state: Until, ledger: Ledger, quick_worker: Any
) -> None:
    parent = await ask(own_database, Flow(job=Gather(name="book"), children=notes("one", "two")))
    await engine.client.flushall()
    quick_worker()
    await until_state(parent, State.COMPLETED)
    assert ledger.notes[-1] == "book: one, two"


async def test_cancelling_a_parent_cancels_all_that_is_unfinished_below_it(
    own_database: Database, engine: Engine, row_of: RowOf, ledger: Ledger
) -> None:
    part = Flow(job=Gather(name="part"), children=notes("a", "b"))
    root = await ask(own_database, Flow(job=Gather(name="root"), children=[part, Note(text="c")]))
    async with own_database.transaction(PLATFORM) as session:
        await cancel(session, await row_of(root), by="owner@example.org")
    async with own_database.transaction(SYSTEM) as session:
        states = set((await session.scalars(select(JobRow.state))).all())
    assert states == {State.CANCELLED}
    assert await engine.client.llen(engine.key(QUICK.engine_name, "wait")) == 0
    assert sorted(ledger.dead) == ["part: the job was cancelled", "root: the job was cancelled"]


async def test_a_parent_is_replayed_after_its_child_and_waits_for_it_again(
    own_database: Database, until_state: Until, row_of: RowOf, ledger: Ledger, quick_worker: Any
) -> None:
    parent = await ask(own_database, Flow(job=Gather(name="book"), children=[Fail(message="boom"), Note(text="x")]))
    stop = quick_worker()
    await until_state(parent, State.DEAD)
    await stop()
    child = (await children_of(own_database, parent))[0]
    for job_id in (child.id, parent):
        async with own_database.transaction(PLATFORM) as session:
            await control.replay(session, await session.get_one(JobRow, job_id))
    assert (await row_of(parent)).state == State.WAITING_CHILDREN
    row = await begin(own_database, child.id, 1)
    async with own_database.transaction(SYSTEM) as session:
        assert await record.complete(session, row, {"text": "mended"}, ())
    quick_worker()
    await until_state(parent, State.COMPLETED)
    assert ledger.notes[-1] == "book: mended, x"


async def test_a_flow_without_children_is_a_job_and_a_child_has_no_key(own_database: Database, row_of: RowOf) -> None:
    job_id = await ask(own_database, Flow(job=Note(text="alone")))
    assert (await row_of(job_id)).state in (State.PENDING, State.QUEUED)
    keyed = Wanted(job=Note(text="x"), key="k")
    with pytest.raises(ValueError, match="cannot have a key"):
        await ask(own_database, Flow(job=Gather(name="p"), children=[keyed]))
    parent = Flow(job=Wanted(job=Gather(name="p"), key="k"), children=notes("a"))
    assert await ask(own_database, parent) == await ask(own_database, parent)


@pytest.fixture
async def quick_worker(
    own_database: Database, engine: Engine, quick_runner: Runner, worker_redis: Any, settings: Settings
) -> AsyncGenerator[Callable[[], Callable[[], Awaitable[None]]], None]:
    """Starts a worker when the test says so; what it gives back stops it."""
    running: list[tuple[asyncio.Event, asyncio.Task[None]]] = []

    def start() -> Callable[[], Awaitable[None]]:
        process = WorkerProcess(own_database, engine, quick_runner, [QUICK], concurrency=5, client=worker_redis)
        stop = asyncio.Event()
        task = asyncio.create_task(process.run(stop))
        running.append((stop, task))

        async def end() -> None:
            stop.set()
            await task

        return end

    yield start
    for stop, task in running:
        stop.set()
        await task
