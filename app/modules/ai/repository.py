"""Queries on AI's tables, and the names that their pages show beside the ids."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, column, func, select, table
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.core.ids import PLATFORM_TENANT, floor_id
from app.modules.ai.models import AiEventLog, AiMessage, AiRun, AiTask, RunStatus, TaskStatus

# Tables of the modules below, by name: their models are their own.
_ARTICLE = table("article", column("id"), column("tenant_id"), column("workspace_id"), column("title"))
_TENANT = table("tenant", column("id"), column("name"))
MOST_TENANTS = 500
R = TypeVar("R", bound=AiTask | AiRun | AiMessage | AiEventLog)


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks; None means any."""

    status: TaskStatus | None = None
    tenant_id: UUID | None = None
    article_id: UUID | None = None
    workspace_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs, messages or events; None means any."""

    status: RunStatus | None = None
    tenant_id: UUID | None = None
    task_id: UUID | None = None
    run_id: UUID | None = None
    level: str | None = None


def tasks(wanted: TaskFilter) -> Select[tuple[AiTask]]:
    query = _equal(select(AiTask), AiTask, wanted, "status", "tenant_id", "article_id")
    if wanted.workspace_id is not None:
        inside = select(_ARTICLE.c.id).where(
            _ARTICLE.c.workspace_id == wanted.workspace_id, _ARTICLE.c.tenant_id == AiTask.tenant_id
        )
        query = query.where(AiTask.article_id.in_(inside))
    return query


def runs(wanted: RunFilter) -> Select[tuple[AiRun]]:
    return _equal(select(AiRun), AiRun, replace(wanted, run_id=None), "status", "tenant_id", "task_id")


def messages(wanted: RunFilter) -> Select[tuple[AiMessage]]:
    return _of_runs(select(AiMessage), AiMessage, wanted)


def events(wanted: RunFilter) -> Select[tuple[AiEventLog]]:
    return _equal(_of_runs(select(AiEventLog), AiEventLog, wanted), AiEventLog, wanted, "level")


def _of_runs(query: Select[tuple[R]], model: type[AiMessage] | type[AiEventLog], wanted: RunFilter) -> Select[tuple[R]]:
    query = _equal(query, model, wanted, "tenant_id", "run_id")
    if wanted.task_id is not None:
        query = query.where(model.run_id.in_(select(AiRun.id).where(AiRun.task_id == wanted.task_id)))
    return query


def _equal(query: Select[tuple[R]], model: type[Any], wanted: TaskFilter | RunFilter, *names: str) -> Select[tuple[R]]:
    for name in names:
        if (value := getattr(wanted, name)) is not None:
            query = query.where(getattr(model, name) == value)
    return query


async def task_of_job(session: AsyncSession, job_id: UUID) -> AiTask | None:
    found: AiTask | None = await session.scalar(select(AiTask).where(AiTask.job_id == job_id))
    return found


async def latest_run(session: AsyncSession, task_id: UUID) -> AiRun | None:
    query = select(AiRun).where(AiRun.task_id == task_id).order_by(AiRun.attempt.desc()).limit(1)
    found: AiRun | None = await session.scalar(query)
    return found


async def last_seq(session: AsyncSession, run_id: UUID) -> int:
    """The number of a run's newest event; 0 when it has none."""
    query = select(func.coalesce(func.max(AiEventLog.seq), 0)).where(AiEventLog.run_id == run_id)
    return int((await session.execute(query)).scalar_one())


async def by_id(session: AsyncSession, key: InstrumentedAttribute[UUID], ids: Iterable[UUID]) -> dict[UUID, Any]:
    """Rows of the key's table by their id."""
    rows = await session.scalars(select(key.class_).where(key.in_(set(ids))))
    return {row.id: row for row in rows}


async def article_titles(session: AsyncSession, ids: Iterable[UUID]) -> dict[UUID, str]:
    """Titles by id, also of articles that were deleted."""
    query = select(_ARTICLE.c.id, _ARTICLE.c.title).where(_ARTICLE.c.id.in_(set(ids)))
    return {row.id: row.title for row in await session.execute(query)}


async def tenant_names(session: AsyncSession) -> dict[UUID, str]:
    """Names of tenants by id, in the order of names. A tenant's own transaction may not read them."""
    query = select(_TENANT.c.id, _TENANT.c.name).where(_TENANT.c.id != PLATFORM_TENANT)
    rows = await session.execute(query.order_by(_TENANT.c.name).limit(MOST_TENANTS))
    return {row.id: row.name for row in rows}


async def count_runs(session: AsyncSession, since: datetime) -> dict[str, int]:
    """Runs begun since then, by status."""
    query = select(AiRun.status, func.count()).where(AiRun.id >= floor_id(since)).group_by(AiRun.status)
    return {status: count for status, count in await session.execute(query)}


async def failed_runs(session: AsyncSession, since: datetime, limit: int) -> Sequence[AiRun]:
    """The newest runs that failed since then."""
    query = select(AiRun).where(AiRun.id >= floor_id(since), AiRun.status == RunStatus.FAILED)
    return (await session.scalars(query.order_by(AiRun.id.desc()).limit(limit))).all()
