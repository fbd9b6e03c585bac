"""How full the queues are: Redis for what moves, the record for what ended, the record for all when Redis is away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from msgspec import convert
from redis.exceptions import RedisError
from sqlalchemy import case, func, literal, select, true
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ids import floor_id
from app.queues.clock import clock
from app.queues.engine import Counts
from app.queues.models import IN_LINE, JobRow, QueueRow, State
from app.queues.push import queues_of
from app.queues.spec import Limits, QueueSpec

log = structlog.get_logger()
UNPUSHED = (State.PENDING,)
UNSTARTED = (State.PENDING, State.QUEUED)
COUNTED = 100_000
IN_RECORD = (*IN_LINE, State.ACTIVE)


@dataclass(frozen=True, slots=True)
class QueueOverview:
    """One queue as people see it. `completed` counts the last 24 hours; `failed` is the number of dead letters."""

    spec: QueueSpec
    waiting: int
    delayed: int
    active: int
    completed: int
    failed: int
    paused_at: datetime | None
    paused_by: str | None
    paused_reason: str | None
    from_redis: bool
    limits: Limits
    """Those in force: a person's, or else the declared ones."""
    limits_changed: bool
    kind_limits_s: Mapping[str, float]
    """The time limits of those kinds that do not have the queue's."""

    @property
    def name(self) -> str:
        return self.spec.name


async def overview(session: AsyncSession, only: Sequence[str] | None = None) -> list[QueueOverview]:
    """All queues, or `only` these: one round trip to Redis, four statements to PostgreSQL."""
    queues = queues_of(session)
    specs = {name: queues.specs[name] for name in (only if only is not None else queues.specs)}
    held: dict[str, Counts] | None = None
    if queues.engine is not None:
        try:
            held = await queues.engine.counts(specs)
        except (RedisError, OSError):
            log.info("queue.counts_from_record")
    names = list(specs)
    moving = await _moving(session, names, UNPUSHED if held is not None else IN_RECORD)
    dead = await _ended(session, names, State.DEAD, None)
    done = await _ended(session, names, State.COMPLETED, clock.moment() - timedelta(hours=24))
    settings = {row.name: row for row in await session.scalars(select(QueueRow).where(QueueRow.name.in_(names)))}
    found = []
    for name, spec in specs.items():
        own, there = moving.get(name, Counts(0, 0, 0)), (held or {}).get(name, Counts(0, 0, 0))
        row = settings.get(name)
        found.append(
            QueueOverview(
                spec,
                waiting=own.waiting + there.waiting,
                delayed=own.delayed + there.delayed,
                active=own.active + there.active,
                completed=done.get(name, 0),
                failed=dead.get(name, 0),
                paused_at=row.paused_at if row else None,
                paused_by=row.paused_by if row else None,
                paused_reason=row.paused_reason if row else None,
                from_redis=held is not None,
                limits=convert(row.limits, Limits) if row and row.limits is not None else spec.limits,
                limits_changed=row is not None and row.limits is not None,
                kind_limits_s=queues.kinds.limits_s(spec),
            )
        )
    return found


async def oldest_wait_s(session: AsyncSession) -> dict[str, float]:
    """How long the first job of each queue has been waiting that a worker could start; queues where none does lack.

    One stretch of the index for each queue and state: both states at once would be sorted, or looked for among all.
    """
    name = select(func.unnest(array(list(queues_of(session).specs))).label("queue")).subquery()
    state = select(func.unnest(array(UNSTARTED)).label("state")).subquery()
    since = func.greatest(JobRow.created_at, JobRow.run_at)
    first = (
        select(since.label("since"))
        .where(JobRow.queue == name.c.queue, JobRow.state == state.c.state, ~JobRow.delayed)
        .where(JobRow.finished_at.is_(None))
        .order_by(JobRow.id)
        .limit(1)
        .lateral()
    )
    age = func.extract("epoch", func.clock_timestamp() - first.c.since)
    query = select(name.c.queue, age).select_from(name).join(state, true()).join(first, true())
    longest: dict[str, float] = {}
    for queue, age_s in await session.execute(query):
        longest[queue] = max(longest.get(queue, 0.0), float(age_s))
    return longest


async def _moving(session: AsyncSession, names: Sequence[str], states: tuple[State, ...]) -> dict[str, Counts]:
    active = JobRow.state == State.ACTIVE
    query = (
        select(
            JobRow.queue,
            func.count(case((~JobRow.delayed & ~active, 1))),
            func.count(case((JobRow.delayed, 1))),
            func.count(case((active, 1))),
        )
        .where(JobRow.state.in_(states), JobRow.finished_at.is_(None), JobRow.queue.in_(names))
        .group_by(JobRow.queue)
    )
    if states == UNPUSHED:
        # A request has just pushed the newest ones itself: they are counted in Redis.
        query = query.where(JobRow.updated_at < func.now() - timedelta(seconds=1))
    return {name: Counts(*counts) for name, *counts in await session.execute(query)}


async def _ended(session: AsyncSession, names: Sequence[str], state: State, since: datetime | None) -> dict[str, int]:
    """Counted up to COUNTED: a queue with millions of ended jobs must not slow the page down."""
    name = select(func.unnest(array(names)).label("queue")).subquery()
    found = select(JobRow.id).where(JobRow.queue == name.c.queue, JobRow.state == state, ~JobRow.delayed)
    if since is not None:
        found = found.where(JobRow.id >= floor_id(since))
    one = found.limit(COUNTED).lateral()
    query = select(name.c.queue, func.count(one.c.id).label("n")).outerjoin(one, literal(True)).group_by(name.c.queue)
    return {row.queue: row.n for row in await session.execute(query)}
