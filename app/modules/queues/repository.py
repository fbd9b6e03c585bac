"""Queries on the record of work, for the console."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app.core.queries import between
from app.core.signs import Sign, Weight, counted
from app.core.trace import MOST_STEPS, Step
from app.modules.queues.schemas import JobState, state_of
from app.queues import lag
from app.queues.counts import oldest_wait_s, overview
from app.queues.models import IN_LINE, AttemptRow, JobRow, State
from app.queues.push import queues_of

_HEAVY = (defer(JobRow.payload, raiseload=True), defer(JobRow.result, raiseload=True))
MOST_IN_TREE = 500
LONG_S = 300
"""Seconds after which a job that waits wants a person's attention."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs of a queue; None means any. `since` is in, `until` is not, and both are about when it was asked for.

    `text` is a job's or a tenant's id, or a part of an error message or of a kind.
    """

    state: JobState | None
    kind: str | None = None
    tenant_id: UUID | None = None
    fingerprint: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def jobs(queue: str, wanted: JobFilter) -> Select[tuple[JobRow]]:
    """The jobs that fit all but state and text, without payload and result, in no order."""
    query = select(JobRow).where(JobRow.queue == queue).options(*_HEAVY)
    if wanted.kind is not None:
        query = query.where(JobRow.kind == wanted.kind)
    if wanted.tenant_id is not None:
        query = query.where(JobRow.tenant_id == wanted.tenant_id)
    if wanted.fingerprint is not None:
        query = query.where(JobRow.error_fingerprint == wanted.fingerprint)
    return between(query, JobRow.id, wanted.since, wanted.until)


def branches(wanted: JobFilter, kinds: Collection[str]) -> list[ColumnElement[bool]]:
    """The conditions of which a job of this state and text fulfils one, each with an index; none: all jobs fit.

    Args:
        kinds: those that the queue is known to have.
    """
    places = [] if wanted.state is None else [_place(*place) for place in _places(wanted.state)]
    if wanted.text is None:
        return places
    there, anywhere = places or [true()], or_(*places) if places else true()
    try:
        id_ = UUID(wanted.text)
    except ValueError:
        # Not ILIKE: row-level security hides its statistics, so PostgreSQL takes every pattern for rare, and fetches
        # and sorts all that matches. Of this it takes a third to match, and reads an index in order: that of the
        # jobs with an error alone.
        found = func.strpos(func.lower(JobRow.error_message), func.lower(wanted.text)) > 0
        told = and_(JobRow.error_message.is_not(None), found)
        alike = {kind for kind in kinds if wanted.text.lower() in kind.lower()} | {wanted.text}
        # The end of what is completed takes its error back.
        errors = [] if wanted.state is JobState.COMPLETED else [and_(told, anywhere)]
        return [*errors, *(and_(JobRow.kind == kind, one) for kind in sorted(alike) for one in there)]
    return [and_(JobRow.id == id_, anywhere), *(and_(JobRow.tenant_id == id_, one) for one in there)]


def _places(state: JobState) -> list[tuple[State, bool]]:
    if state in (JobState.WAITING, JobState.DELAYED):
        return [(one, state is JobState.DELAYED) for one in IN_LINE]
    return [(State.DEAD if state is JobState.FAILED else State(state.value), False)]


def _place(state: State, later: bool) -> ColumnElement[bool]:
    return and_(JobRow.state == state, JobRow.delayed if later else ~JobRow.delayed)


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


async def steps(session: AsyncSession, correlation_id: UUID) -> list[Step]:
    """The jobs of a correlation id, and their attempts."""
    query = select(JobRow).where(JobRow.correlation_id == correlation_id).options(*_HEAVY)
    jobs = {row.id: row for row in await session.scalars(query.order_by(JobRow.id).limit(MOST_STEPS))}
    tried = select(AttemptRow).where(AttemptRow.job_id.in_(jobs)).order_by(AttemptRow.started_at).limit(MOST_STEPS)
    attempts = list(await session.scalars(tried))
    return [*map(_job_step, jobs.values()), *(_attempt_step(row, jobs[row.job_id]) for row in attempts)]


def _job_step(row: JobRow) -> Step:
    return Step(
        "job",
        row.kind,
        str(state_of(row)),
        row.created_at,
        row.finished_at,
        open=row.finished_at is None,
        note=row.queue,
        path=f"/queues/{row.queue}/jobs/{row.id}",
        tenant_id=row.tenant_id,
    )


def _attempt_step(row: AttemptRow, job: JobRow) -> Step:
    return Step(
        "attempt",
        f"{job.kind}, attempt {row.n}",
        "failed" if row.error_class else "completed" if row.ended_at else "active",
        row.started_at,
        row.ended_at,
        open=row.ended_at is None,
        note=row.error_message,
        path=f"/queues/{job.queue}/jobs/{job.id}",
        tenant_id=row.tenant_id,
    )


async def signs(session: AsyncSession) -> list[Sign]:
    """Whether work moves, and what of it has died."""
    queues, waits, trouble = await overview(session), await oldest_wait_s(session), (await lag.read(session)).trouble
    with_redis, from_redis = queues_of(session).engine is not None, all(one.from_redis for one in queues)
    found = [_redis_sign(from_redis)] if with_redis else []
    if trouble:
        found.append(Sign("Loops", "late", trouble, Weight.WARN, "/queues"))
    paused = [one.name for one in queues if one.paused_at]
    if paused:
        text = f"{' and '.join(paused)} {'is' if len(paused) == 1 else 'are'} paused"
        found.append(Sign("Paused", f"{len(paused)}", text, Weight.WARN, f"/queues/{paused[0]}/jobs"))
    # What is paused is told already, and waits because somebody wants it to.
    longest = max((name for name in waits if name not in paused), key=lambda name: waits[name], default=None)
    waiting = sum(one.waiting for one in queues)
    if longest is not None and waits[longest] > LONG_S:
        text = f"A job of {longest} has waited for {waits[longest] / 60:,.0f} minutes"
        found.append(Sign("Waiting", f"{waiting:,}", text, Weight.WARN, f"/queues/{longest}/jobs?state=waiting"))
    else:
        oldest = f", the first for {waits[longest]:,.0f} s" if longest is not None else ""
        found.append(
            Sign("Waiting", f"{waiting:,}", f"{counted(waiting, 'job')} in line{oldest}", Weight.OK, "/queues")
        )
    dead = {one.name: one.failed for one in queues if one.failed}
    most = max(dead, key=lambda name: dead[name], default=None)
    if most is None:
        return [*found, Sign("Dead letters", "0", "No job has failed for good", Weight.OK, "/queues")]
    text = f"{counted(sum(dead.values()), 'dead letter')} in {' and '.join(dead)}"
    return [*found, Sign("Dead letters", f"{sum(dead.values()):,}", text, Weight.WARN, f"/queues/{most}/dlq")]


def _redis_sign(answers: bool) -> Sign:
    if answers:
        return Sign("Redis", "up", "Redis answers", Weight.OK, "/cache")
    return Sign("Redis", "down", "Redis does not answer: jobs are kept, and wait", Weight.BAD, "/cache")
