"""TekNav's own worker, in five ways: `python ours.py producer|worker engine|record|sqlalchemy|asyncpg|burn`.

`engine` pushes into Redis and runs without rows; `record` keeps a row and an attempt of every job; `sqlalchemy` has a
handler with a transaction of its own, which also ends the job, and `asyncpg` the same on asyncpg's connection; `burn`
is `record` with a handler that uses 2 ms of CPU.
Everything that the benchmark knows of TekNav stands in this file, and nothing of it is special to the benchmark but
the kinds of job.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import program
from sqlalchemy import select

from app.core.database import SYSTEM, Plane, Scope, after_commit
from app.core.garbage import collect_less
from app.core.ids import PLATFORM_TENANT, new_id
from app.core.logging import configure
from app.core.settings import load
from app.process import Process
from app.queues.engine import Engine
from app.queues.enqueue import enqueue, enqueue_many
from app.queues.job import Job, Kinds, processor
from app.queues.models import JobRow, State
from app.queues.runner import Outcome, Runner
from app.queues.work import Work
from app.queues.worker import WorkerProcess

QUEUE = "analytics:process"
PLATFORM = Scope(Plane.PLATFORM)
BURN_S = 0.002
UNFINISHED = (State.PENDING, State.QUEUED, State.ACTIVE, State.RETRYING)


class Noop(Job, kind="bench_noop", queue=QUEUE):
    n: int


class Own(Job, kind="bench_own", queue=QUEUE):
    n: int


class Direct(Job, kind="bench_direct", queue=QUEUE):
    n: int


class Burn(Job, kind="bench_burn", queue=QUEUE):
    n: int


KINDS: dict[str, type[Noop | Own | Direct | Burn]] = {
    "engine": Noop,
    "record": Noop,
    "sqlalchemy": Own,
    "asyncpg": Direct,
    "burn": Burn,
}


class NoRecord(Runner):
    """Answers the worker as the runner does, and keeps no rows: what is left is the engine."""

    def __init__(self, process: Process, seen: program.Seen) -> None:
        super().__init__(process.database, Kinds((), frozenset()), process.engine.specs, new_id())
        self._seen = seen

    async def attempt(self, job_id: UUID, run: int, *, first: bool = False, handled: Callable[[], None]) -> Outcome:
        self._seen(job_id.int & 0xFFFFFFFF)
        return Outcome(None)


class Ours:
    bulk = True

    def __init__(self, way: str) -> None:
        self._way = way
        self._kind = KINDS[way]

    async def open(self, url: str) -> None:
        settings = load(os.environ)
        configure(settings)
        self._process = process = Process.open(settings)
        # Without the record there is nobody who pushes again what took longer than a request may wait.
        self._engine = Engine(process.patient_redis, settings.queue_prefix, process.engine.specs)
        # Without it the leading worker takes Redis for emptied, and pushes everything once more.
        await self._engine.begin_epoch()

    async def add(self, number: int) -> float:
        if self._way == "engine":
            handed_over = time.monotonic()
            await self._engine.push([row_of(number)])
            return handed_over
        committed: list[float] = []

        async def stamp() -> None:
            committed.append(time.monotonic())

        async with self._process.database.transaction(PLATFORM) as session:
            after_commit(session, stamp)
            await enqueue(session, self._kind(n=number))
        return committed[0]

    async def add_bulk(self, numbers: Sequence[int]) -> None:
        if self._way == "engine":
            await self._engine.push([row_of(number) for number in numbers])
            return
        async with self._process.database.transaction(PLATFORM) as session:
            await enqueue_many(session, [self._kind(n=number) for number in numbers])

    async def left(self) -> int:
        """1 while anything is unfinished, in the record or in Redis."""
        async with self._process.database.transaction(SYSTEM) as session:
            row = await session.scalar(
                select(JobRow.id).where(JobRow.state.in_(UNFINISHED), JobRow.finished_at.is_(None)).limit(1)
            )
        if row is not None:
            return 1
        counts = (await self._engine.counts([QUEUE]))[QUEUE]
        return counts.waiting + counts.delayed + counts.active

    async def work(self, seen: program.Seen) -> None:
        process = self._process
        spec = process.engine.specs[QUEUE]
        worker = WorkerProcess(
            process.database,
            process.engine,
            NoRecord(process, seen) if self._way == "engine" else self._runner(seen),
            [spec],
            concurrency=program.CONCURRENCY,
            client=process.patient_redis,
        )
        collect_less()
        await worker.run(asyncio.Event())

    def _runner(self, seen: program.Seen) -> Runner:
        @processor(Noop)
        async def noop(work: Work, payload: Noop) -> None:
            seen(payload.n)

        @processor(Own)
        async def own(work: Work, payload: Own) -> None:
            seen(payload.n)
            async with work.transaction("result") as session:
                if session is not None:
                    await work.complete(session)

        @processor(Direct)
        async def direct(work: Work, payload: Direct) -> None:
            seen(payload.n)
            async with work.connection("result") as connection:
                if connection is not None:
                    await work.complete(connection)

        @processor(Burn)
        async def burn(work: Work, payload: Burn) -> None:
            seen(payload.n)
            end = time.thread_time() + BURN_S
            while time.thread_time() < end:
                pass

        kinds = Kinds((noop, own, direct, burn), frozenset([QUEUE]))
        return Runner(self._process.database, kinds, self._process.engine.specs, new_id())


def row_of(number: int) -> JobRow:
    """A row that no database sees, with an id that tells the number."""
    now = datetime.now(UTC)
    values: dict[str, Any] = {"queue": QUEUE, "kind": Noop.kind, "payload": {"n": number}, "priority": 0, "run": 0}
    return JobRow(
        id=UUID(int=(new_id().int >> 32 << 32) | number),
        tenant_id=PLATFORM_TENANT,
        state=State.PENDING,
        run_at=now,
        max_attempts=3,
        attempts_made=0,
        **values,
    )


if __name__ == "__main__":
    program.main(Ours(sys.argv[2]))
