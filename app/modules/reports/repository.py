"""Queries on reports, and the names that their pages show beside the ids."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, column, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.ids import PLATFORM_TENANT
from app.modules.reports.models import QualityReport
from app.modules.reports.schemas import ReportKind

# Tables of other modules, by name: their models are their own.
_ARTICLE = table("article", column("id"), column("tenant_id"), column("workspace_id"), column("title"))
_TENANT = table("tenant", column("id"), column("name"))
MOST_TENANTS = 500


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """Which reports; None means any."""

    kind: ReportKind | None = None
    tenant_id: UUID | None = None
    article_id: UUID | None = None


def fitting(wanted: ReportFilter, *, workspace_id: UUID | None = None) -> Select[tuple[QualityReport]]:
    pairs = (
        (QualityReport.kind, wanted.kind),
        (QualityReport.tenant_id, wanted.tenant_id),
        (QualityReport.article_id, wanted.article_id),
    )
    query = select(QualityReport).where(*(column == value for column, value in pairs if value is not None))
    if workspace_id is None:
        return query
    here = (_ARTICLE.c.tenant_id == QualityReport.tenant_id, _ARTICLE.c.workspace_id == workspace_id)
    return query.where(QualityReport.article_id.in_(select(_ARTICLE.c.id).where(*here)))


async def titles(session: AsyncSession, reports: Iterable[QualityReport]) -> dict[UUID, str]:
    """The titles of their articles, also of those that were deleted."""
    ids = {report.article_id for report in reports}
    rows = await session.execute(select(_ARTICLE.c.id, _ARTICLE.c.title).where(_ARTICLE.c.id.in_(ids)))
    return {row.id: row.title for row in rows}


async def tenants(session: AsyncSession) -> dict[UUID, str]:
    """All tenants in the order of names; a tenant's own transaction may not read tenants."""
    if scope_of(session).plane is Plane.TENANT:
        return {}
    query = select(_TENANT.c.id, _TENANT.c.name).where(_TENANT.c.id != PLATFORM_TENANT)
    return {row.id: row.name for row in await session.execute(query.order_by(_TENANT.c.name).limit(MOST_TENANTS))}
