"""Handlers that complete in a transaction of their own, on a session or on asyncpg's connection."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import select

from app import registry
from app.core.database import SYSTEM, Database
from app.core.ids import new_id
from app.queues.batch import Batch
from app.queues.engine import Engine
from app.queues.enqueue import enqueue
from app.queues.failure import Superseded
from app.queues.flow import Flow, enqueue_flow
from app.queues.job import Job, Kinds, processor
from app.queues.models import EffectRow, JobRow, KeyRow, State
from app.queues.runner import Runner
from app.queues.work import Work
from app.queues.worker import WorkerProcess
from tests.queues.kinds import PLATFORM, QUICK, Note, Sin

AI = registry.specs()["ai:content"]


class Burn(Job, kind="burn", queue="ai:content"):
    """Uses CPU until it is told to stop."""


@pytest.fixture
def claimed(own_database: Database) -> Callable[..., Any]:
    async def claim(job: Note, **options: Any) -> Work:
        async with own_database.transaction(PLATFORM) as session:
            job_id = await enqueue(session, job, **options)
        return await taken(own_database, job_id)

    return claim


async def taken(database: Database, job_id: UUID) -> Work:
    claim = await Batch(database, new_id()).open(job_id, 0, first=False)
    assert claim is not None
    return Work(database, claim, {})


async def test_effect_and_end_commit_together_on_asyncpgs_connection(
    own_database: Database, claimed: Callable[..., Any], row_of: Callable[[UUID], Any]
) -> None:
    work: Work = await claimed(Note(text="a"), key="once")
    async with work.connection("write") as direct:
        assert direct is not None
        role = await direct.connection.fetchval("SELECT current_user::text")
        await work.complete(direct, {"done": 1})
    assert (work.completed, role) == (True, "teknav_platform")
    row = await row_of(work.job_id)
    assert (row.state, row.result, row.attempts_made) == (State.COMPLETED, {"done": 1}, 1)
    async with own_database.transaction(SYSTEM) as session:
        assert (await session.scalars(select(KeyRow))).all() == []
    assert await Batch(own_database, new_id()).open(work.job_id, 0, first=False) is None


async def test_a_job_that_goes_wrong_after_its_end_has_ended_well(
    own_database: Database, quick_runner: Runner, row_of: Callable[[UUID], Any]
) -> None:
    async with own_database.transaction(PLATFORM) as session:
        job_id = await enqueue(session, Sin(what="after its end"))
    outcome = await quick_runner.attempt(job_id, 0)
    assert outcome.failure is None, "or its last attempt would leave a letter in Redis"
    row = await row_of(job_id)
    assert (row.state, row.result, row.error_message) == (State.COMPLETED, {"done": True}, None)


async def test_a_step_that_was_done_is_not_done_again_on_asyncpgs_connection(claimed: Callable[..., Any]) -> None:
    work: Work = await claimed(Note(text="a"))
    async with work.connection("write") as direct:
        assert direct is not None
    async with work.connection("write") as direct:
        assert direct is None


async def test_an_error_leaves_neither_step_nor_end_on_asyncpgs_connection(
    own_database: Database, claimed: Callable[..., Any], row_of: Callable[[UUID], Any]
) -> None:
    work: Work = await claimed(Note(text="a"))
    with pytest.raises(ValueError, match="no"):
        async with work.connection("write") as direct:
            assert direct is not None
            await work.complete(direct)
            raise ValueError("no")
    assert not work.completed
    assert (await row_of(work.job_id)).state == State.ACTIVE
    async with own_database.transaction(PLATFORM) as session:
        assert (await session.scalars(select(EffectRow))).all() == []


async def test_a_superseded_attempt_commits_nothing_on_asyncpgs_connection(
    own_database: Database, claimed: Callable[..., Any], row_of: Callable[[UUID], Any]
) -> None:
    slow: Work = await claimed(Note(text="a"))
    await taken(own_database, slow.job_id)
    with pytest.raises(Superseded):
        async with slow.connection("write") as direct:
            assert direct is not None
            await slow.complete(direct)
    assert (await row_of(slow.job_id)).state == State.ACTIVE


async def test_a_child_that_ends_on_asyncpgs_connection_wakes_its_parent(
    own_database: Database, row_of: Callable[[UUID], Any]
) -> None:
    async with own_database.transaction(PLATFORM) as session:
        parent = await enqueue_flow(session, Flow(job=Note(text="parent"), children=[Note(text="child")]))
        child = await session.scalar(select(JobRow.id).where(JobRow.parent_id == parent))
    assert child is not None
    work = await taken(own_database, child)
    async with work.connection("write") as direct:
        assert direct is not None
        await work.complete(direct)
    assert (await row_of(parent)).state in (State.PENDING, State.QUEUED)


@pytest.fixture
async def burning(
    own_database: Database, engine: Engine, kinds: Kinds, worker_redis: Redis
) -> AsyncGenerator[tuple[threading.Event, threading.Event], None]:
    """Events of a worker with two queues: a handler burns; it may stop."""
    began, may_stop = threading.Event(), threading.Event()

    def burn() -> None:
        began.set()
        deadline = time.monotonic() + 20
        while not may_stop.is_set() and time.monotonic() < deadline:
            sum(range(1000))

    @processor(Burn)
    async def burning(work: Work, payload: Burn) -> None:
        await work.in_thread(burn)

    both = Kinds((kinds["note"], burning), frozenset([QUICK.name, AI.name]))
    runner = Runner(own_database, both, {QUICK.name: QUICK, AI.name: AI}, new_id())
    process = WorkerProcess(own_database, engine, runner, [QUICK, AI], concurrency=2, client=worker_redis)
    stop = asyncio.Event()
    task = asyncio.create_task(process.run(stop))
    yield began, may_stop
    may_stop.set()
    stop.set()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.trap(43)
async def test_another_queue_goes_on_while_a_handler_burns_cpu(
    own_database: Database, burning: tuple[threading.Event, threading.Event], until_state: Callable[..., Any]
) -> None:
    began, may_stop = burning
    async with own_database.transaction(PLATFORM) as session:
        hot = await enqueue(session, Burn())
    assert await asyncio.to_thread(began.wait, 15)
    async with own_database.transaction(PLATFORM) as session:
        note = await enqueue(session, Note(text="meanwhile"))
    await until_state(note, State.COMPLETED)
    assert not may_stop.is_set()
    await until_state(hot, State.ACTIVE)
    may_stop.set()
    await until_state(hot, State.COMPLETED)
