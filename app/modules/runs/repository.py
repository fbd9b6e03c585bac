"""Queries on runs and what belongs to them, and the names that their pages show beside the ids."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Label, Select, column, func, select, table, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.core.ids import floor_id
from app.core.quota import AI_CENTS_PER_MONTH
from app.core.signs import Sign, Weight, counted
from app.core.trace import MOST_STEPS, Step
from app.modules.articles.service import titles
from app.modules.runs.models import AiEventLog, AiMessage, AiRun, RunStatus
from app.modules.runs.schemas import By
from app.modules.tenants.service import most_of, tenant_names

# A table of a module above, by name: its model is its own.
_TASK = table("ai_task", column("id"), column("kind"), column("article_id"), column("correlation_id"))
MOST_TENANTS = 500
MOST_PARTS = 100
NEARLY = Decimal("0.8")
"""The part of a quota from which on its owner should know."""
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
    ascending: bool = False


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
    ascending: bool = False


def runs(wanted: RunFilter) -> Select[tuple[AiRun]]:
    return _equal(
        _between(select(AiRun), AiRun.id, wanted),
        (AiRun.status, wanted.status),
        (AiRun.tenant_id, wanted.tenant_id),
        (AiRun.task_id, wanted.task_id),
    )


def messages(wanted: EntryFilter) -> Select[tuple[AiMessage]]:
    query = _between(select(AiMessage), AiMessage.id, wanted)
    query = _equal(query, (AiMessage.tenant_id, wanted.tenant_id), (AiMessage.run_id, wanted.run_id))
    return query if wanted.task_id is None else query.where(AiMessage.run_id.in_(_runs_of(wanted.task_id)))


def events(wanted: EntryFilter) -> Select[tuple[AiEventLog]]:
    query = _equal(
        _between(select(AiEventLog), AiEventLog.id, wanted),
        (AiEventLog.tenant_id, wanted.tenant_id),
        (AiEventLog.run_id, wanted.run_id),
        (AiEventLog.level, wanted.level),
        (AiEventLog.type, wanted.type),
    )
    return query if wanted.task_id is None else query.where(AiEventLog.run_id.in_(_runs_of(wanted.task_id)))


def _runs_of(task_id: UUID) -> Select[tuple[UUID]]:
    return select(AiRun.id).where(AiRun.task_id == task_id)


def _between(
    query: Select[tuple[R]], id_: InstrumentedAttribute[UUID], wanted: RunFilter | EntryFilter
) -> Select[tuple[R]]:
    """`since` is in, `until` is not."""
    if wanted.since is not None:
        query = query.where(id_ >= floor_id(wanted.since))
    return query if wanted.until is None else query.where(id_ < floor_id(wanted.until))


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


def _sums() -> list[Label[Any]]:
    names = {name: name.replace("_w", "W").replace("_r", "R") for name in TOKENS}
    tokens = [
        func.coalesce(func.sum(AiRun.usage[wire].astext.cast(BigInteger)), 0).cast(BigInteger).label(name)
        for name, wire in names.items()
    ]
    failed = func.count().filter(AiRun.status == RunStatus.FAILED).label("failed")
    return [func.count().label("runs"), failed, *tokens, func.coalesce(func.sum(AiRun.cost), 0).label("cost")]


async def spent(session: AsyncSession, begin: datetime, end: datetime) -> list[Spent]:
    """By tenant, the dearest first; a tenant's own transaction finds its own."""
    query = select(AiRun.tenant_id, *_sums()).where(AiRun.id >= floor_id(begin), AiRun.id < floor_id(end))
    query = query.group_by(AiRun.tenant_id).order_by(text("cost DESC"), AiRun.tenant_id).limit(MOST_TENANTS)
    return [msgspec.convert(row._mapping, Spent) for row in await session.execute(query)]


async def parts(
    session: AsyncSession, begin: datetime, end: datetime, by: By, tenant_id: UUID | None
) -> list[UsedPart]:
    """By day, the newest first; by kind or model, the dearest first. Of one tenant, or of all that are seen."""
    keys: dict[By, ColumnElement[str]] = {
        By.DAY: func.to_char(func.timezone("UTC", AiRun.created_at), "YYYY-MM-DD"),
        By.KIND: _TASK.c.kind,
        By.MODEL: func.coalesce(AiRun.model, AiRun.provider),
    }
    query = select(keys[by].label("key"), *_sums()).where(AiRun.id >= floor_id(begin), AiRun.id < floor_id(end))
    query = query.join(_TASK, _TASK.c.id == AiRun.task_id) if by is By.KIND else query
    query = query.where(AiRun.tenant_id == tenant_id) if tenant_id else query
    order = ("key DESC",) if by is By.DAY else ("cost DESC", "runs DESC", "key")
    query = query.group_by(text("key")).order_by(*map(text, order)).limit(MOST_PARTS)
    return [msgspec.convert(row._mapping, UsedPart) for row in await session.execute(query)]


async def cents_this_month(session: AsyncSession, tenant_id: UUID) -> int:
    """What the runs that a tenant began this month, by UTC, have cost, in cents of a US dollar, rounded up."""
    begin = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    query = select(func.sum(AiRun.cost)).where(AiRun.tenant_id == tenant_id, AiRun.id >= floor_id(begin))
    return ceil((await session.scalar(query) or 0) * 100)


async def steps(session: AsyncSession, correlation_id: UUID) -> list[Step]:
    """The runs of the tasks that were asked for under a correlation id."""
    query = select(AiRun, _TASK.c.kind).join(_TASK, _TASK.c.id == AiRun.task_id)
    rows = await session.execute(
        query.where(_TASK.c.correlation_id == correlation_id).order_by(AiRun.id).limit(MOST_STEPS)
    )
    return [
        Step(
            "AI run",
            f"{kind}, run {run.attempt}",
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
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    most = await most_of(session, AI_CENTS_PER_MONTH)
    month = (
        await spent(session, today.replace(day=1), now) if most else []
    )  # all of its runs, so only where it is asked
    this_month = {one.tenant_id: one.cost * 100 for one in month}
    near = [tenant for tenant, cents in most.items() if this_month.get(tenant, Decimal(0)) >= cents * NEARLY and cents]
    dollars = f"${sum((one.cost for one in await spent(session, today, now)), Decimal(0)):,.2f}"
    if near:
        text = f"{counted(len(near), 'tenant')} used 80 % or more of the month's AI spend"
        return Sign("AI spend today", dollars, text, Weight.WARN, "/ai/usage")
    quotas = f"{counted(len(most), 'quota')} of tenants, none nearly used up" if most else "no tenant has a quota"
    return Sign("AI spend today", dollars, f"{dollars} spent on AI today; {quotas}", Weight.OK, "/ai/usage")
