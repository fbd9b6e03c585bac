"""What people do to queues and jobs. The record changes first, in the caller's transaction; Redis follows."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from uuid import UUID

import structlog
from msgspec import to_builtins
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
from app.queues.keys import take_keys
from app.queues.models import IN_LINE, JobRow, QueueRow, State
from app.queues.orders import tell_limits
from app.queues.push import push_after_commit, queues_of
from app.queues.spec import Limits, QueueSpec

log = structlog.get_logger()
FORGOTTEN_AT_ONCE = 8
WAITING = (*IN_LINE, State.WAITING_CHILDREN)
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


async def limit(session: AsyncSession, name: str, limits: Limits | None) -> None:
    """Set what the queue may do over all worker processes together; None goes back to what is declared."""
    spec_of(session, name)
    row = await _queue(session, name)
    row.limits = None if limits is None else to_builtins(limits)
    tell_limits(session, name)
    signal(session, record.TOPIC, name, PLATFORM_TENANT)


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


async def replay(session: AsyncSession, row: JobRow) -> JobRow:
    """A new run of a dead letter; returns the row as it is then.

    Raises:
        Conflict: it is no dead letter any more (`not_dead`), because whoever came first has replayed or removed it;
            or its work was asked for again since, and that job is unfinished (`key_taken`).
    """
    again = await record.run_again(session, [row.id])
    if not again:
        raise Conflict("This is no dead letter any more", code="not_dead")
    await take_key_again(session, again[0])
    await follow_new_runs(session, again)
    return again[0]


async def take_key_again(session: AsyncSession, row: JobRow, *, keep: bool = False) -> None:
    """
    Args:
        keep: the key stays taken after the job's end.

    Raises:
        Conflict (`key_taken`): another unfinished job has the key.
    """
    kept = [row.id] if keep else []
    if row.key is not None and (holder := (await take_keys(session, [row], kept))[row.id]) != row.id:
        raise Conflict(f"The job {holder} does the same work and is unfinished", code="key_taken")


async def follow_new_runs(session: AsyncSession, rows: Sequence[JobRow]) -> None:
    """Tell the processors, and bring Redis up to the new runs that these rows have now."""
    queues = queues_of(session)
    for row in rows:
        await queues.kinds.tell_replayed(session, row.kind, row.payload)
    forget(session, [(row.queue, row.engine_id_of(row.run - 1)) for row in rows])
    push_after_commit(session, *(row for row in rows if row.state == State.PENDING))


async def remove(session: AsyncSession, row: JobRow) -> None:
    """Take a job or a dead letter out of every list, into the trash.

    Raises:
        Conflict: it is running (cancel it first) or removed already.
    """
    if not await remove_all(session, [row.id], (*WAITING, *FINISHED)):
        raise Conflict(f"A job that is {row.state} cannot be removed", code="not_removable")


async def remove_all(session: AsyncSession, ids: Collection[UUID], allowed: Sequence[State]) -> list[JobRow]:
    """Remove those that are in an allowed state into the trash, and return them."""
    rows = await record.close(session, ids, State.REMOVED, allowed, undoable=True)
    await follow_ends(session, rows, [row for row in rows if row.removed_from in WAITING], "the job was removed")
    return rows


async def follow_ends(session: AsyncSession, rows: Sequence[JobRow], unfinished: Sequence[JobRow], why: str) -> None:
    """Take jobs out of Redis, and tell the processors of those that were still to run."""
    for row in unfinished:
        await queues_of(session).kinds.tell_dead(session, row.kind, row.payload, why)
    forget(session, [(row.queue, row.engine_id) for row in rows])


def forget(session: AsyncSession, runs: Sequence[tuple[str, str]]) -> None:
    """Take these runs, each with its queue, out of Redis after the commit."""

    async def all_of(engine: Engine) -> None:
        for at in range(0, len(runs), FORGOTTEN_AT_ONCE):
            await asyncio.gather(*(engine.forget(*run) for run in runs[at : at + FORGOTTEN_AT_ONCE]))

    if runs:
        _then(session, all_of)


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
