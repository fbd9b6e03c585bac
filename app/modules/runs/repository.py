"""Queries on runs and what belongs to them, and the names that their pages show beside the ids."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import (
    BigInteger,
    Date,
    Label,
    Numeric,
    Select,
    String,
    Subquery,
    cast,
    column,
    func,
    literal,
    select,
    table,
    text,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ids import floor_id
from app.core.metrics import Metric, Sample
from app.core.queries import between
from app.core.quota import AI_CENTS_PER_MONTH, NEARLY
from app.core.signs import Sign, Weight, counted
from app.core.templating import kind_label
from app.core.trace import MOST_STEPS, Step
from app.modules.articles.service import titles
from app.modules.runs.models import AiEventLog, AiMessage, AiReport, AiRun, RunStatus
from app.modules.runs.schemas import By
from app.modules.tenants.service import most_of, tenant_names

# A table of a module above, by name: its model is its own.
_TASK = table("ai_task", column("id"), column("kind"), column("article_id"), column("correlation_id"))
MOST_TENANTS = 500
MOST_PARTS = 100
TOKENS = ("input", "cache_read", "cache_write", "output", "reasoning")
R = TypeVar("R", AiRun, AiMessage, AiEventLog)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs; None means any."""

    status: RunStatus | None = None
    tenant_id: UUID | None = None
    task_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which messages or events; None means any."""

    tenant_id: UUID | None = None
    task_id: UUID | None = None
    run_id: UUID | None = None
    level: str | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def runs(wanted: RunFilter) -> Select[tuple[AiRun]]:
    return _equal(
        between(select(AiRun), AiRun.id, wanted.since, wanted.until),
        (AiRun.status, wanted.status),
        (AiRun.tenant_id, wanted.tenant_id),
        (AiRun.task_id, wanted.task_id),
    )


def messages(wanted: EntryFilter) -> Select[tuple[AiMessage]]:
    query = between(select(AiMessage), AiMessage.id, wanted.since, wanted.until)
    query = _equal(query, (AiMessage.tenant_id, wanted.tenant_id), (AiMessage.run_id, wanted.run_id))
    return query if wanted.task_id is None else query.where(AiMessage.run_id.in_(_runs_of(wanted.task_id)))


def events(wanted: EntryFilter) -> Select[tuple[AiEventLog]]:
    query = _equal(
        between(select(AiEventLog), AiEventLog.id, wanted.since, wanted.until),
        (AiEventLog.tenant_id, wanted.tenant_id),
        (AiEventLog.run_id, wanted.run_id),
        (AiEventLog.level, wanted.level),
        (AiEventLog.type, wanted.type),
    )
    return query if wanted.task_id is None else query.where(AiEventLog.run_id.in_(_runs_of(wanted.task_id)))


def _runs_of(task_id: UUID) -> Select[tuple[UUID]]:
    return select(AiRun.id).where(AiRun.task_id == task_id)


def _equal(query: Select[tuple[R]], *pairs: tuple[Any, object]) -> Select[tuple[R]]:
    return query.where(*(column == value for column, value in pairs if value is not None))


async def runs_of(session: AsyncSession, runs: Collection[UUID]) -> dict[UUID, AiRun]:
    """These runs, by id."""
    return {run.id: run for run in await session.scalars(select(AiRun).where(AiRun.id.in_(runs)))}


async def latest_run(session: AsyncSession, task_id: UUID) -> AiRun | None:
    query = runs(RunFilter(task_id=task_id)).order_by(AiRun.attempt.desc()).limit(1)
    found: AiRun | None = await session.scalar(query)
    return found


async def last_seq(session: AsyncSession, run_id: UUID) -> int:
    """The number of a run's newest event; 0 when it has none."""
    query = select(func.coalesce(func.max(AiEventLog.seq), 0)).where(AiEventLog.run_id == run_id)
    return int((await session.execute(query)).scalar_one())


@dataclass(frozen=True, slots=True)
class RunTask:
    """The task of a run."""

    id: UUID
    kind: str
    article_id: UUID


@dataclass(frozen=True, slots=True)
class Names:
    """What pages show beside ids. Titles also of articles that were deleted; tenants all, in the order of names."""

    tasks: dict[UUID, RunTask]
    articles: dict[UUID, str]
    tenants: dict[UUID, str]


async def names(session: AsyncSession, runs: Iterable[AiRun]) -> Names:
    """Tasks, articles and tenants of these runs. For the platform."""
    wanted = {run.task_id for run in runs}
    query = select(_TASK.c.id, _TASK.c.kind, _TASK.c.article_id).where(_TASK.c.id.in_(wanted))
    known = {row.id: RunTask(row.id, row.kind, row.article_id) for row in await session.execute(query)}
    articles = {task.article_id for task in known.values()}
    return Names(known, await titles(session, articles), await tenant_names(session))


async def count_runs(session: AsyncSession, since: datetime) -> dict[str, int]:
    """Runs begun since then, by status."""
    query = select(AiRun.status, func.count().label("runs")).where(AiRun.id >= floor_id(since))
    rows = await session.execute(query.group_by(AiRun.status))
    return {str(status): 0 for status in RunStatus} | {row.status: row.runs for row in rows}


async def failed_runs(session: AsyncSession, since: datetime, limit: int) -> Sequence[AiRun]:
    """The newest runs that failed since then."""
    query = runs(RunFilter(RunStatus.FAILED)).where(AiRun.id >= floor_id(since))
    return (await session.scalars(query.order_by(AiRun.id.desc()).limit(limit))).all()


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What runs used. `cost` is in US dollars."""

    runs: int
    failed: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int
    cost: Decimal

    @property
    def cost_usd(self) -> str:
        return f"{self.cost.normalize():f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent(Used):
    """What the runs of a tenant used that were begun in one month."""

    tenant_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedPart(Used):
    """What the runs of one day, kind of task or model used; `key` says which."""

    key: str


NUMBERS = ("runs", "failed", *TOKENS, "cost")
_DAY = cast(func.timezone("UTC", AiRun.created_at), Date)


def _used(begin: date, end: date) -> Subquery:
    """What runs used that were begun from one day to before another: ended ones by day, and those that are open."""
    ended = select(
        AiReport.tenant_id, AiReport.day, AiReport.kind, AiReport.model, *(getattr(AiReport, name) for name in NUMBERS)
    ).where(AiReport.day >= begin, AiReport.day < end)
    nothing = (literal(int(name == "runs"), BigInteger if name != "cost" else Numeric) for name in NUMBERS)
    running = (
        select(AiRun.tenant_id, _DAY, _TASK.c.kind, AiRun.provider, *nothing)
        .join(_TASK, _TASK.c.id == AiRun.task_id)
        .where(AiRun.finished_at.is_(None), begin <= _DAY, end > _DAY)
    )
    return union_all(ended, running).subquery("used")


def _sums(used: Subquery) -> list[Label[Any]]:
    return [func.sum(used.c[name]).cast(Numeric if name == "cost" else BigInteger).label(name) for name in NUMBERS]


async def spent(session: AsyncSession, begin: date, end: date) -> list[Spent]:
    """By tenant, the dearest first; a tenant's own transaction finds its own."""
    used = _used(begin, end)
    query = select(used.c.tenant_id, *_sums(used)).group_by(used.c.tenant_id)
    query = query.order_by(text("cost DESC"), used.c.tenant_id).limit(MOST_TENANTS)
    return [msgspec.convert(row._mapping, Spent) for row in await session.execute(query)]


async def parts(session: AsyncSession, begin: date, end: date, by: By, tenant_id: UUID | None) -> list[UsedPart]:
    """By day, the newest first; by kind or model, the dearest first. Of one tenant, or of all that are seen."""
    used = _used(begin, end)
    query = select(used.c[by].cast(String).label("key"), *_sums(used)).group_by(used.c[by])
    query = query.where(used.c.tenant_id == tenant_id) if tenant_id else query
    order = ("key DESC",) if by is By.DAY else ("cost DESC", "runs DESC", "key")
    query = query.order_by(*map(text, order)).limit(MOST_PARTS)
    return [msgspec.convert(row._mapping, UsedPart) for row in await session.execute(query)]


async def cents_this_month(session: AsyncSession, tenant_id: UUID) -> int:
    """What the runs that a tenant began this month, by UTC, have cost, in cents of a US dollar, rounded up."""
    begin = datetime.now(UTC).date().replace(day=1)
    query = select(func.sum(AiReport.cost)).where(AiReport.tenant_id == tenant_id, AiReport.day >= begin)
    return ceil((await session.scalar(query) or 0) * 100)


async def measured(session: AsyncSession) -> list[Metric]:
    """What AI has used this month, by UTC."""
    today = datetime.now(UTC).date()
    used = await parts(session, today.replace(day=1), today + timedelta(days=1), By.MODEL, None)

    def gauge(name: str, text: str, value: Callable[[UsedPart], float]) -> Metric:
        return Metric(name, "gauge", text, [Sample(value(one), {"model": one.key}) for one in used])

    return [
        gauge("ai_month_runs", "Runs of AI that were begun this month, by UTC", lambda one: one.runs),
        gauge("ai_month_runs_failed", "Those of them that failed", lambda one: one.failed),
        gauge("ai_month_cost_dollars", "What they cost, in US dollars", lambda one: float(one.cost)),
    ]


async def steps(session: AsyncSession, correlation_id: UUID) -> list[Step]:
    """The runs of the tasks that were asked for under a correlation id."""
    query = select(AiRun, _TASK.c.kind).join(_TASK, _TASK.c.id == AiRun.task_id)
    rows = await session.execute(
        query.where(_TASK.c.correlation_id == correlation_id).order_by(AiRun.id).limit(MOST_STEPS)
    )
    return [
        Step(
            "AI run",
            f"{kind_label(kind)}, run {run.attempt}",
            str(run.status),
            run.created_at,
            run.finished_at,
            open=run.finished_at is None,
            note=run.error_message or run.model or run.provider,
            path=f"/ai/runs/{run.id}",
            tenant_id=run.tenant_id,
        )
        for run, kind in rows
    ]


async def signs(session: AsyncSession) -> list[Sign]:
    """Whether providers answer, and what they cost."""
    now = datetime.now(UTC)
    last_hour = await count_runs(session, now - timedelta(hours=1))
    failed, done = last_hour[RunStatus.FAILED], last_hour[RunStatus.COMPLETED]
    here = f"/ai/runs?status={RunStatus.FAILED}"
    if failed and not done:
        text = f"{counted(failed, 'AI run')} failed in the last hour, and none succeeded"
        found = [Sign("AI", "failing", text, Weight.BAD, here)]
    elif failed:
        text = f"{failed:,} of {failed + done:,} AI runs failed in the last hour"
        found = [Sign("AI", f"{failed:,} failed", text, Weight.WARN, here)]
    else:
        found = [
            Sign("AI", f"{done:,}", f"{counted(done, 'AI run')} in the last hour, none failed", Weight.OK, "/ai/runs")
        ]
    return [*found, await _spend(session, now)]


async def _spend(session: AsyncSession, now: datetime) -> Sign:
    """What was spent today, unless a tenant's quota of the month is nearly used up."""
    today = now.date()
    tomorrow = today + timedelta(days=1)
    most = await most_of(session, AI_CENTS_PER_MONTH)
    this_month = {one.tenant_id: one.cost * 100 for one in await spent(session, today.replace(day=1), tomorrow)}
    near = [tenant for tenant, cents in most.items() if this_month.get(tenant, Decimal(0)) >= cents * NEARLY and cents]
    dollars = f"${sum((one.cost for one in await spent(session, today, tomorrow)), Decimal(0)):,.2f}"
    if near:
        text = f"{counted(len(near), 'tenant')} used 80 % or more of the month's AI spend"
        return Sign("AI spend today", dollars, text, Weight.WARN, "/ai/usage")
    quotas = f"{counted(len(most), 'quota')} of tenants, none nearly used up" if most else "no tenant has a quota"
    return Sign("AI spend today", dollars, f"{dollars} spent on AI today; {quotas}", Weight.OK, "/ai/usage")
