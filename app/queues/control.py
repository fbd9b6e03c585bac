"""What people do to queues and jobs. The record changes first, in the caller's transaction; Redis follows."""

from collections.abc import Awaitable, Callable

import structlog
from redis.exceptions import RedisError
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import after_commit
from app.core.errors import Conflict, NotFound
from app.core.ids import PLATFORM_TENANT
from app.core.live import signal
from app.queues import record
from app.queues.engine import Engine
from app.queues.enqueue import push_after_commit, queues_of
from app.queues.models import JobRow, QueueRow, State
from app.queues.spec import QueueSpec

log = structlog.get_logger()
WAITING = (State.PENDING, State.QUEUED, State.RETRYING, State.WAITING_CHILDREN)
FINISHED = (State.COMPLETED, State.DEAD, State.CANCELLED)


def spec_of(session: AsyncSession, name: str) -> QueueSpec:
    """
    Raises:
        NotFound: no such queue is declared.
    """
    spec = queues_of(session).specs.get(name)
    if spec is None:
        raise NotFound(f"There is no queue {name!r}", code="unknown_queue")
    return spec


async def pause(session: AsyncSession, name: str, *, by: str, reason: str | None) -> QueueRow:
    """Stop starting jobs. The queue accepts new ones, and active ones finish.

    Raises:
        Conflict: it is paused already.
    """
    spec_of(session, name)
    row = await _queue(session, name)
    if row.paused_at is not None:
        raise Conflict(f"The queue {name} is paused already", code="already_paused")
    row.paused_at, row.paused_by, row.paused_reason = func.now(), by, reason
    await session.flush()
    await session.refresh(row)
    _then(session, lambda engine: engine.pause(name, True))
    signal(session, record.TOPIC, name, PLATFORM_TENANT)
    return row


async def resume(session: AsyncSession, name: str) -> QueueRow:
    """
    Raises:
        Conflict: it is not paused.
    """
    spec_of(session, name)
    row = await _queue(session, name)
    if row.paused_at is None:
        raise Conflict(f"The queue {name} is not paused", code="not_paused")
    row.paused_at = row.paused_by = row.paused_reason = None
    _then(session, lambda engine: engine.pause(name, False))
    signal(session, record.TOPIC, name, PLATFORM_TENANT)
    return row


async def retry(session: AsyncSession, row: JobRow) -> None:
    """Run a dead job again, or one that waits for its time at once.

    Raises:
        Conflict: the job is in another state.
    """
    if row.state == State.DEAD:
        await replay(session, row)
        return
    delayed = row.state == State.RETRYING or (row.delayed and row.state in (State.PENDING, State.QUEUED))
    if not delayed or not await record.run_now(session, row):
        raise Conflict(f"A job that is {row.state} cannot be retried", code="not_retryable")
    _then(session, lambda engine: engine.promote(row))


async def replay(session: AsyncSession, row: JobRow) -> None:
    """A new run of a dead letter.

    Raises:
        Conflict: it is no dead letter any more (`not_dead`), because whoever came first has replayed or removed it;
            or its work was asked for again since, and that job is unfinished (`key_taken`).
    """
    letter = row.engine_id
    if not await record.run_again(session, row):
        raise Conflict("This is no dead letter any more", code="not_dead")
    if row.key is not None and (holder := await record.take_key(session, row)) != row.id:
        raise Conflict(f"The job {holder} does the same work and is unfinished", code="key_taken")
    await queues_of(session).kinds.tell_replayed(session, row.kind, row.payload)
    _then(session, lambda engine: engine.forget(row.queue, letter))
    await session.refresh(row)
    push_after_commit(session, row)


async def remove(session: AsyncSession, row: JobRow) -> None:
    """Take a job or a dead letter out of every list.

    Raises:
        Conflict: it is running (cancel it first) or removed already.
    """
    if not await record.close(session, row, State.REMOVED, (*WAITING, *FINISHED)):
        raise Conflict(f"A job that is {row.state} cannot be removed", code="not_removable")
    await _end_unfinished(session, row, "the job was removed")


async def _end_unfinished(session: AsyncSession, row: JobRow, why: str) -> None:
    """Take it out of Redis, and tell its processor if it was still to run. `row` is as it was before."""
    if row.state in WAITING:
        await queues_of(session).kinds.tell_dead(session, row.kind, row.payload, why)
    name, letter = row.queue, row.engine_id
    _then(session, lambda engine: engine.forget(name, letter))


def _then(session: AsyncSession, action: Callable[[Engine], Awaitable[None]]) -> None:
    """Mirror a change to Redis once it has committed.

    Redis away: the leading worker's loops do it later.
    """
    engine = queues_of(session).engine
    if engine is None:
        return

    async def mirror() -> None:
        try:
            await action(engine)
        except (RedisError, OSError) as error:
            log.warning("queue.not_mirrored", error=type(error).__name__)

    after_commit(session, mirror)


async def _queue(session: AsyncSession, name: str) -> QueueRow:
    await session.execute(insert(QueueRow).values(name=name).on_conflict_do_nothing())
    row = await session.get(QueueRow, name, with_for_update=True, populate_existing=True)
    assert row is not None
    return row
