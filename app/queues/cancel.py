"""Cancelling: what waits ends at once; what runs is marked, and its worker stops it."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database
from app.core.errors import Conflict
from app.queues import record
from app.queues.control import WAITING, follow_ends
from app.queues.models import JobRow, State
from app.queues.one_by_one import one_by_one
from app.queues.work import scope_for_job

MOST_WISHES = 500


async def cancel(session: AsyncSession, row: JobRow, *, by: str) -> None:
    """Cancel a job, and with a parent all of its flow that is unfinished. `row` must not be locked: see below.

    An active job is cancelled when its worker has stopped it; until then `cancel_requested_at` says that
    somebody wants it. A worker that is gone or did not hear of it: see `repeat_wishes`.

    Raises:
        Conflict: it has ended.
    """
    # Children have the smaller ids, so that everybody locks them before their parents.
    ids = await _tree(session, row.id) if row.children else [row.id]
    query = select(JobRow.id).where(JobRow.id.in_(ids), JobRow.finished_at.is_(None)).order_by(JobRow.id)
    unfinished = (await session.scalars(query.with_for_update())).all()
    ended = await record.close(session, unfinished, State.CANCELLED, WAITING)
    await follow_ends(session, ended, ended, "the job was cancelled")
    # A worker may have begun with one a moment ago, and not told the record yet.
    record.tell_workers(session, ended)
    wanted = await record.want_cancelled(session, unfinished, by)
    if row.id not in {one.id for one in (*ended, *wanted)}:
        raise Conflict(f"A job that is {row.state} cannot be cancelled", code="not_cancellable")


async def repeat_wishes(database: Database) -> int:
    """Bring about what somebody wanted and nobody did: the signal was lost, or the worker. Returns how many."""
    wished = (JobRow.cancel_requested_at.is_not(None), JobRow.finished_at.is_(None))
    async with database.transaction(SYSTEM) as session:
        rows = (await session.scalars(select(JobRow).where(*wished).limit(MOST_WISHES))).all()
        # Nothing is written: the reconciler has to see that a dead worker's row does not move.
        record.tell_workers(session, [row for row in rows if row.state == State.ACTIVE])

    async def end(row: JobRow) -> None:
        async with database.transaction(scope_for_job(row.tenant_id)) as session:
            ended = await record.close(session, [row.id], State.CANCELLED, WAITING)
            await follow_ends(session, ended, ended, "the job was cancelled")

    await one_by_one((row for row in rows if row.state != State.ACTIVE), end)
    return len(rows)


async def _tree(session: AsyncSession, root: UUID) -> Sequence[UUID]:
    """A parent and all below it."""
    tree = select(JobRow.id).where(JobRow.id == root).cte("tree", recursive=True)
    tree = tree.union_all(select(JobRow.id).where(JobRow.parent_id == tree.c.id))
    return (await session.scalars(select(tree.c.id))).all()
