"""From the record into BullMQ: what a transaction wants pushed leaves after its commit, bounded in time."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import msgspec
import structlog
from redis.exceptions import RedisError
from sqlalchemy import ARRAY, Integer, Uuid, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database, after_commit
from app.queues.engine import Engine
from app.queues.job import Kinds
from app.queues.models import JobRow, State
from app.queues.spec import QueueSpec

log = structlog.get_logger()
PUSH_BOUND_S = 0.25
MOST_JOBS, MOST_BYTES = 1000, 1_000_000
"""Of one MULTI, during which Redis does nothing else. A payload that is larger goes alone."""


class Queues:
    """The declared queues, and the way into BullMQ; every session of the process carries it.

    Without an engine nothing is pushed: the row waits for a relay.
    """

    def __init__(self, database: Database, specs: Mapping[str, QueueSpec], kinds: Kinds, engine: Engine | None) -> None:
        self.specs = specs
        self.kinds = kinds
        self.engine = engine
        self._database = database
        self._marking: set[asyncio.Task[None]] = set()

    async def push(self, rows: Sequence[JobRow]) -> None:
        """Best effort, within 250 ms: the row is committed, and the relay pushes what did not get through."""
        if self.engine is None:
            return
        pushed: list[tuple[UUID, int]] = []
        try:
            async with asyncio.timeout(PUSH_BOUND_S):
                for some in slices(rows):
                    await self.engine.push(some)
                    pushed += [(row.id, row.run) for row in some]
        except (RedisError, OSError, TimeoutError) as error:
            log.info("queue.push_left_to_relay", jobs=len(rows) - len(pushed), error=type(error).__name__)
        if not pushed:
            return
        task = asyncio.create_task(self._mark(pushed))
        self._marking.add(task)
        task.add_done_callback(self._marking.discard)

    async def _mark(self, pushed: Sequence[tuple[UUID, int]]) -> None:
        # Nobody waits for this: a worker may well have started the job by now.
        try:
            async with self._database.transaction(SYSTEM) as session:
                await mark_queued(session, pushed)
        except Exception as error:
            log.info("queue.mark_left_to_relay", error=type(error).__name__)


def slices(rows: Sequence[JobRow]) -> Iterator[Sequence[JobRow]]:
    """What is pushed together, in order: MOST_JOBS and MOST_BYTES of payload at most."""
    if len(rows) == 1:
        yield rows
        return
    some: list[JobRow] = []
    held = 0
    for row in rows:
        size = len(msgspec.json.encode(row.payload))
        if some and (len(some) == MOST_JOBS or held + size > MOST_BYTES):
            yield some
            some, held = [], 0
        some.append(row)
        held += size
    if some:
        yield some


def queues_of(session: AsyncSession) -> Queues:
    queues: Queues = session.info["queues"]
    return queues


def push_after_commit(session: AsyncSession, *rows: JobRow) -> None:
    """All rows of one transaction leave in one push."""
    waiting: list[JobRow] | None = session.info.get("to_push")
    if waiting is None:
        leaving = waiting = session.info["to_push"] = []
        after_commit(session, lambda: queues_of(session).push(leaving))
    waiting += rows


async def mark_queued(session: AsyncSession, pushed: Sequence[tuple[UUID, int]]) -> None:
    """In one statement: these runs are in Redis. A row that another transaction is changing is left as it is."""
    ids = bindparam("ids", [job_id for job_id, _ in pushed], ARRAY(Uuid))
    runs = bindparam("runs", [run for _, run in pushed], ARRAY(Integer))
    there = select(func.unnest(ids).label("id"), func.unnest(runs).label("run")).subquery()
    # Nobody is waited for: two who change many rows in different orders would wait for each other.
    free = (
        select(JobRow.id)
        .join(there, (JobRow.id == there.c.id) & (JobRow.run == there.c.run))
        .where(JobRow.state == State.PENDING)
        .with_for_update(of=JobRow, skip_locked=True)
    )
    query = update(JobRow).where(JobRow.id.in_(free)).values(state=State.QUEUED)
    await session.execute(query.execution_options(synchronize_session=False))
