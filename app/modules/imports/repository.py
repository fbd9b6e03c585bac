"""Queries on imports."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, column, func, select, table, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.locks import hold
from app.core.trace import MOST_STEPS, Step
from app.modules.imports.models import ImportItem, ImportRun, Outcome, Status

# A table of another module, by name: its models are its own.
_ARTICLE = table("article", column("id"), column("deleted_at"))


@dataclass(frozen=True, slots=True)
class ImportFilter:
    """Which imports; None means any."""

    status: Status | None = None
    tenant_id: UUID | None = None


def runs(wanted: ImportFilter, workspace_id: UUID | None) -> Select[tuple[ImportRun]]:
    query = select(ImportRun)
    pairs = (
        (ImportRun.status, wanted.status),
        (ImportRun.tenant_id, wanted.tenant_id),
        (ImportRun.workspace_id, workspace_id),
    )
    return query.where(*(name == value for name, value in pairs if value is not None))


def items(import_id: UUID, outcome: Outcome | None) -> Select[tuple[ImportItem]]:
    query = select(ImportItem).where(ImportItem.import_id == import_id)
    return query if outcome is None else query.where(ImportItem.outcome == outcome)


async def unfinished(session: AsyncSession, tenant_id: UUID) -> int:
    going = (ImportRun.tenant_id == tenant_id, ImportRun.status.in_((Status.QUEUED, Status.RUNNING)))
    return await session.scalar(select(func.count()).select_from(ImportRun).where(*going)) or 0


async def held(session: AsyncSession, tenant_id: UUID, source: str) -> ImportItem | None:
    """What was made of this source before, if its article is still there. Whoever else asks waits for us."""
    await hold(session, f"import {tenant_id} {source}")
    made = (ImportItem.tenant_id == tenant_id, ImportItem.source == source, ImportItem.outcome == Outcome.CREATED)
    there = select(_ARTICLE.c.id).where(_ARTICLE.c.id == ImportItem.article_id, _ARTICLE.c.deleted_at.is_(None))
    query = select(ImportItem).where(*made, there.exists()).order_by(ImportItem.id.desc()).limit(1)
    found: ImportItem | None = await session.scalar(query)
    return found


async def count(session: AsyncSession, import_id: UUID, outcome: Outcome) -> None:
    """One more. A statement of its own, so that no version is made of each article."""
    counter = {Outcome.SKIPPED: ImportRun.skipped, Outcome.FAILED: ImportRun.failed}.get(outcome, ImportRun.created)
    await session.execute(update(ImportRun).where(ImportRun.id == import_id).values({counter: counter + 1}))


async def about_jobs(session: AsyncSession, jobs: Collection[UUID]) -> dict[UUID, tuple[str, str]]:
    """Which file each of these jobs reads, and where that is shown."""
    rows = await session.execute(
        select(ImportRun.job_id, ImportRun.file_name, ImportRun.id).where(ImportRun.job_id.in_(jobs))
    )
    return {row.job_id: (row.file_name, f"/imports/{row.id}") for row in rows}


async def steps(session: AsyncSession, trace_id: UUID) -> list[Step]:
    """The imports that a request began, the first one first."""
    query = select(ImportRun).where(ImportRun.correlation_id == trace_id).order_by(ImportRun.id).limit(MOST_STEPS)
    return [
        Step(
            kind="import",
            label=row.file_name,
            status=row.status,
            began_at=row.created_at,
            ended_at=row.finished_at,
            open=row.finished_at is None,
            note=row.error or f"{row.created} created, {row.skipped} skipped, {row.failed} failed",
            path=f"/imports/{row.id}",
            tenant_id=row.tenant_id,
        )
        for row in await session.scalars(query)
    ]
