"""From the record into BullMQ: what a transaction wants pushed leaves after its commit, bounded in time."""

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

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
        try:
            async with asyncio.timeout(PUSH_BOUND_S):
                await self.engine.push(rows)
        except (RedisError, OSError, TimeoutError) as error:
            log.info("queue.push_left_to_relay", jobs=len(rows), error=type(error).__name__)
            return
        task = asyncio.create_task(self._mark([(row.id, row.run) for row in rows]))
        self._marking.add(task)
        task.add_done_callback(self._marking.discard)

    async def _mark(self, pushed: Sequence[tuple[UUID, int]]) -> None:
        # Nobody waits for this: a worker may well have started the job by now.
        try:
            async with self._database.transaction(SYSTEM) as session:
                await mark_queued(session, pushed)
        except Exception as error:
            log.info("queue.mark_left_to_relay", error=type(error).__name__)


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
    """In one statement: these runs are in Redis."""
    ids = bindparam("ids", [job_id for job_id, _ in pushed], ARRAY(Uuid))
    runs = bindparam("runs", [run for _, run in pushed], ARRAY(Integer))
    there = select(func.unnest(ids).label("id"), func.unnest(runs).label("run")).subquery()
    query = (
        update(JobRow)
        .where(JobRow.id == there.c.id, JobRow.run == there.c.run, JobRow.state == State.PENDING)
        .values(state=State.QUEUED)
    )
    await session.execute(query.execution_options(synchronize_session=False))
