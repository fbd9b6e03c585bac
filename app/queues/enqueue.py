"""Asking for work: a row in the caller's transaction, and a push to BullMQ once it has committed."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import structlog
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database, after_commit, scope_of
from app.core.ids import new_id
from app.core.live import signal
from app.core.request import correlation_id
from app.queues import record
from app.queues.engine import Engine
from app.queues.job import Job, Kinds
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
                await record.mark_queued(session, pushed)
        except Exception as error:
            log.info("queue.mark_left_to_relay", error=type(error).__name__)


def queues_of(session: AsyncSession) -> Queues:
    queues: Queues = session.info["queues"]
    return queues


async def enqueue(
    session: AsyncSession,
    job: Job,
    *,
    run_at: datetime | None = None,
    priority: int = 0,
    key: str | None = None,
    keep_key: bool = False,
) -> UUID:
    """Write the job's row into this transaction; it runs once, after the commit.

    Args:
        run_at: not before this moment.
        priority: 1 runs first; 0 is none.
        key: while an unfinished job has this key, its id is returned instead of a new one.
        keep_key: the key stays taken after the job's end.

    Returns:
        the job's id.
    """
    queues = queues_of(session)
    spec = queues.specs[job.queue]
    tenant = scope_of(session).tenant_id
    now = datetime.now(UTC)
    context = structlog.contextvars.get_contextvars()
    row = JobRow(
        id=new_id(),
        tenant_id=tenant,
        queue=job.queue,
        kind=job.kind,
        payload=msgspec.to_builtins(job),
        priority=priority,
        state=State.PENDING,
        delayed=run_at is not None and run_at > now,
        run_at=run_at or now,
        max_attempts=spec.attempts,
        attempts_made=0,
        run=0,
        key=key,
        correlation_id=correlation_id(),
        request_id=context.get("request_id"),
    )
    if key is not None:
        first = await record.take_key(session, row, keep=keep_key)
        if first != row.id:
            return first
    session.add(row)
    signal(session, record.TOPIC, row.queue, tenant)
    push_after_commit(session, row)
    return row.id


def push_after_commit(session: AsyncSession, row: JobRow) -> None:
    """All rows of one transaction leave in one push."""
    rows: list[JobRow] | None = session.info.get("to_push")
    if rows is None:
        rows = session.info["to_push"] = []
        waiting = rows
        after_commit(session, lambda: queues_of(session).push(waiting))
    rows.append(row)
