"""Flows: a parent waits in the record until all its children have ended, and only then goes to Redis.

Redis knows nothing of flows, so an emptied one loses none. Whoever ends a job calls `release` for its parent.
Where a required child has not completed, the parent's attempt fails at once, so that it dies as any job dies.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.queues.models import JobRow, State
from app.queues.push import push_after_commit


@dataclass(frozen=True, slots=True)
class Child:
    """How a child of a flow ended. `result` is what its processor gave back."""

    id: UUID
    kind: str
    state: State
    required: bool
    result: dict[str, Any] | None
    error_message: str | None

    @property
    def completed(self) -> bool:
        return self.state is State.COMPLETED


async def release(session: AsyncSession, parents: Collection[UUID]) -> None:
    """Make those parents pending whose children have all ended. To be called after the change that ends a child."""
    # The lock makes two last children end one after the other; the second then sees the first. In one order for all.
    query = select(JobRow.id).where(JobRow.id.in_(parents), JobRow.state == State.WAITING_CHILDREN)
    locked = (await session.scalars(query.order_by(JobRow.id).with_for_update())).all()
    if not locked:
        return
    now = func.now()
    query_ready = (
        update(JobRow)
        .where(JobRow.id.in_(locked), JobRow.state == State.WAITING_CHILDREN, ~unfinished_children(JobRow.id))
        .values(state=State.PENDING, run_at=func.greatest(JobRow.run_at, now), delayed=JobRow.run_at > now)
        .returning(JobRow)
    )
    rows = await session.scalars(query_ready.execution_options(synchronize_session=False, populate_existing=True))
    push_after_commit(session, *rows)


def unfinished_children(parent_id: Any) -> Any:
    """The condition that a job still waits for children."""
    child = aliased(JobRow)
    return exists().where(child.parent_id == parent_id, child.finished_at.is_(None))


async def children(session: AsyncSession, parent_id: UUID) -> list[Child]:
    """The children of a job, in the order in which they were given. Removed completed ones count as completed."""
    query = select(JobRow).where(JobRow.parent_id == parent_id).order_by(JobRow.id)
    return [
        Child(row.id, row.kind, _outcome(row), row.required, row.result, row.error_message)
        for row in await session.scalars(query)
    ]


def missing(found: Sequence[Child]) -> str | None:
    """Why the parent cannot run; None when every required child has completed."""
    bad = [child for child in found if child.required and not child.completed]
    if not bad:
        return None
    first = f"the child {bad[0].id} ({bad[0].kind}) is {bad[0].state}"
    return first if len(bad) == 1 else f"{first}, and {len(bad) - 1} more are not completed"


def _outcome(row: JobRow) -> State:
    removed_done = row.state == State.REMOVED and row.removed_from == State.COMPLETED
    return State.COMPLETED if removed_done else State(row.state)
