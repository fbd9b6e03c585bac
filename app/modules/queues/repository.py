"""Queries on the record of work, for the console."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, column, func, not_, or_, select, table
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app.modules.queues.schemas import JobState
from app.queues.models import AttemptRow, JobRow, State

_HEAVY = (defer(JobRow.payload, raiseload=True), defer(JobRow.result, raiseload=True))
MOST_IN_TREE = 500
_TENANT = table("tenant", column("id"), column("name"))


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs of a queue; None means any."""

    state: JobState
    kind: str | None = None
    tenant_id: UUID | None = None
    fingerprint: str | None = None


def jobs(queue: str, wanted: JobFilter) -> Select[tuple[JobRow]]:
    """The jobs that fit, without payload and result, in no order."""
    query = select(JobRow).where(JobRow.queue == queue, _in_state(wanted.state)).options(*_HEAVY)
    if wanted.kind is not None:
        query = query.where(JobRow.kind == wanted.kind)
    if wanted.tenant_id is not None:
        query = query.where(JobRow.tenant_id == wanted.tenant_id)
    if wanted.fingerprint is not None:
        query = query.where(JobRow.error_fingerprint == wanted.fingerprint)
    return query


def _in_state(state: JobState) -> ColumnElement[bool]:
    ready = JobRow.state.in_((State.PENDING, State.QUEUED))
    later = and_(JobRow.delayed, JobRow.run_at > func.now())
    if state is JobState.WAITING:
        return and_(ready, not_(later))
    if state is JobState.DELAYED:
        return or_(and_(ready, later), JobRow.state == State.RETRYING)
    return JobRow.state == (State.DEAD if state is JobState.FAILED else state.value)


async def job(session: AsyncSession, queue: str, job_id: UUID, *, lock: bool = False) -> JobRow | None:
    query = select(JobRow).where(JobRow.id == job_id, JobRow.queue == queue)
    found: JobRow | None = await session.scalar(query.with_for_update() if lock else query)
    return found


async def attempts(session: AsyncSession, job_id: UUID) -> list[AttemptRow]:
    """Every attempt of every run, oldest first."""
    query = select(AttemptRow).where(AttemptRow.job_id == job_id).order_by(AttemptRow.run, AttemptRow.n)
    return list(await session.scalars(query))


async def flow(session: AsyncSession, root: UUID) -> list[JobRow]:
    """All jobs below a parent, at most MOST_IN_TREE, without payloads and results, in the order they were given."""
    tree = select(JobRow.id).where(JobRow.parent_id == root).cte("tree", recursive=True)
    tree = tree.union_all(select(JobRow.id).where(JobRow.parent_id == tree.c.id))
    some = select(tree.c.id).limit(MOST_IN_TREE)
    query = select(JobRow).where(JobRow.id.in_(some)).options(*_HEAVY).order_by(JobRow.id)
    return list(await session.scalars(query))


async def edited_to(session: AsyncSession, job_id: UUID) -> JobRow | None:
    """The job that a dead letter was edited into."""
    found: JobRow | None = await session.scalar(select(JobRow).where(JobRow.edited_from == job_id).options(*_HEAVY))
    return found


async def places(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, JobRow]:
    """Jobs that others point at, for their queue and kind."""
    rows = await session.scalars(select(JobRow).where(JobRow.id.in_(ids)).options(*_HEAVY)) if ids else ()
    return {row.id: row for row in rows}


async def tenant_names(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, str]:
    rows = await session.execute(select(_TENANT.c.id, _TENANT.c.name).where(_TENANT.c.id.in_(ids)))
    return {row.id: row.name for row in rows}
