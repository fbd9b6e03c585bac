"""A worker of its own for the tests of the runtime, with a quick queue and kinds that fail on purpose."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from litestar import Litestar
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession

from app import registry
from app.core.database import SYSTEM, Database
from app.core.ids import new_id
from app.core.settings import Settings
from app.queues.batch import Batch
from app.queues.engine import Engine
from app.queues.failure import Superseded
from app.queues.job import Kinds, processor
from app.queues.models import JobRow
from app.queues.push import Queues
from app.queues.runner import Runner
from app.queues.work import Work
from app.queues.worker import WorkerProcess
from app.redis.connection import patient
from tests.queues.kinds import QUICK, Fail, Free, Note, Sin


@dataclass
class Ledger:
    """What handlers did, kept outside the record of work."""

    notes: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("nothing can be said")


class Panic(BaseException):
    """As extension modules raise them."""


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


async def begin(database: Database, job_id: UUID, run: int = 0) -> JobRow:
    """A worker's next attempt at a job, as far as the record knows of it."""
    claim = await Batch(database, new_id()).open(job_id, run, first=False)
    assert claim is not None
    return claim.row


@pytest.fixture
def kinds(ledger: Ledger) -> Kinds:
    @processor(Note)
    async def note(work: Work, payload: Note) -> None:
        async with work.transaction("note") as session:
            if session is not None:
                ledger.notes.append(payload.text)
                await work.complete(session, {"text": payload.text})

    @processor(Fail)
    async def fail(work: Work, payload: Fail) -> None:
        work.log(f"attempt {work.attempt} of postgresql://user:hunter2@db/x")
        raise ValueError(payload.message)

    @fail.dead
    async def fail_dead(session: AsyncSession, payload: Fail, error: str) -> None:
        ledger.dead.append(error)

    @processor(Sin)
    async def sin(work: Work, payload: Sin) -> dict[str, float] | None:
        if payload.what == "nan":
            return {"value": float("nan")}
        if payload.what == "exit":
            raise SystemExit(1)
        if payload.what == "cancel":
            raise asyncio.CancelledError
        if payload.what == "cancel itself":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            return None
        if payload.what == "recursion":
            return await sin.handle(work, payload)
        if payload.what == "nothing":
            work.log("nothing to do")
            return {"done": True}
        if payload.what == "nul":
            return {"text": "\0"}
        if payload.what == "wait":
            ledger.notes.append("waits")
            await ledger.release.wait()
            ledger.notes.append("released")
            return None
        if payload.what == "deaf":
            ledger.notes.append("begins")
            while not ledger.release.is_set():
                with suppress(asyncio.CancelledError):
                    await ledger.release.wait()
            try:
                async with work.transaction("late") as session:
                    assert session is not None
                    await work.complete(session)
            except Superseded:
                ledger.notes.append("refused")
            ledger.ended.set()
            return None
        if payload.what == "silent":
            raise TimeoutError
        if payload.what == "nul error":
            raise ValueError("a\0b")
        if payload.what == "surrogate error":
            raise ValueError("a\ud800b")
        if payload.what == "mute error":
            raise Mute
        if payload.what == "nul line":
            work.log("a\0b\ud800")
            raise ValueError("after a line")
        if payload.what == "generator exit":
            raise GeneratorExit
        if payload.what == "panic":
            raise Panic("of an extension module")
        if payload.what == "unmourned":
            raise ValueError("it went wrong")
        if payload.what == "after its end":
            async with work.transaction("end") as session:
                assert session is not None
                await work.complete(session, {"done": True})
            raise ValueError("too late")
        await (ledger.release if payload.what == "release" else asyncio.Event()).wait()
        return None

    @sin.dead
    async def sin_dead(session: AsyncSession, payload: Sin, error: str) -> None:
        if payload.what == "unmourned":
            raise ValueError("nobody\0mourns")
        ledger.dead.append(error)

    @processor(Free)
    async def free(work: Work, payload: Free) -> None:
        ledger.notes.append(str(payload.what))

    return Kinds((note, fail, sin, free), frozenset([QUICK.name]))


@pytest.fixture
async def engine(app: Litestar, settings: Settings) -> Engine:
    return Engine(app.state.process.queue_redis, settings.queue_prefix, registry.specs() | {QUICK.name: QUICK})


@pytest.fixture
async def own_database(
    app: Litestar, settings: Settings, engine: Engine, kinds: Kinds
) -> AsyncGenerator[Database, None]:
    database = Database(settings)
    database.provide(
        broker=app.state.process.broker, queues=Queues(database, registry.specs() | {QUICK.name: QUICK}, kinds, engine)
    )
    yield database
    await database.close()


@pytest.fixture
def quick_runner(own_database: Database, kinds: Kinds) -> Runner:
    return Runner(own_database, kinds, {QUICK.name: QUICK}, new_id())


@pytest.fixture
async def worker_redis(settings: Settings) -> AsyncGenerator[Redis, None]:
    client = patient(settings.redis_url)
    yield client
    await client.aclose(close_connection_pool=True)


@pytest.fixture
async def worker(
    own_database: Database, engine: Engine, quick_runner: Runner, worker_redis: Redis
) -> AsyncGenerator[WorkerProcess, None]:
    """A running worker of the quick queue, which leads the loops too."""
    process = WorkerProcess(own_database, engine, quick_runner, [QUICK], concurrency=5, client=worker_redis)
    stop = asyncio.Event()
    task = asyncio.create_task(process.run(stop))
    yield process
    stop.set()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def row_of(own_database: Database) -> Callable[[UUID], Awaitable[JobRow]]:
    async def read(job_id: UUID) -> JobRow:
        async with own_database.transaction(SYSTEM) as session:
            row = await session.get(JobRow, job_id)
            assert row is not None
            return row

    return read


@pytest.fixture
def until_state(row_of: Callable[[UUID], Awaitable[JobRow]]) -> Callable[..., Awaitable[JobRow]]:
    """Waits until a job is in a state; fails after ten seconds, saying in which state it is."""

    async def wait(job_id: UUID, *states: str) -> JobRow:
        row = await row_of(job_id)
        try:
            async with asyncio.timeout(10):
                while row.state not in states:
                    await asyncio.sleep(0.02)
                    row = await row_of(job_id)
        except TimeoutError:
            pytest.fail(f"the job is {row.state}, not {' or '.join(states)}")
        return row

    return wait
