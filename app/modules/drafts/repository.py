"""Queries on proposals, and the names that their pages show beside the ids."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, column, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.ids import PLATFORM_TENANT
from app.modules.drafts.models import AiDraft, DraftStatus

# Tables of other modules, by name: their models are their own.
_ARTICLE = table("article", column("id"), column("tenant_id"), column("workspace_id"), column("title"))
_TENANT = table("tenant", column("id"), column("name"))
MOST_TENANTS = 500


@dataclass(frozen=True, slots=True)
class DraftFilter:
    """Which proposals; None means any."""

    status: DraftStatus | None = None
    tenant_id: UUID | None = None
    article_id: UUID | None = None


def fitting(wanted: DraftFilter, *, workspace_id: UUID | None = None) -> Select[tuple[AiDraft]]:
    pairs = (
        (AiDraft.status, wanted.status),
        (AiDraft.tenant_id, wanted.tenant_id),
        (AiDraft.article_id, wanted.article_id),
    )
    query = select(AiDraft).where(*(column == value for column, value in pairs if value is not None))
    if workspace_id is None:
        return query
    here = (_ARTICLE.c.tenant_id == AiDraft.tenant_id, _ARTICLE.c.workspace_id == workspace_id)
    return query.where(AiDraft.article_id.in_(select(_ARTICLE.c.id).where(*here)))


async def titles(session: AsyncSession, drafts: Iterable[AiDraft]) -> dict[UUID, str]:
    """The titles of their articles, also of those that were deleted."""
    ids = {draft.article_id for draft in drafts}
    rows = await session.execute(select(_ARTICLE.c.id, _ARTICLE.c.title).where(_ARTICLE.c.id.in_(ids)))
    return {row.id: row.title for row in rows}


async def tenants(session: AsyncSession) -> dict[UUID, str]:
    """All tenants in the order of names; a tenant's own transaction may not read tenants."""
    if scope_of(session).plane is Plane.TENANT:
        return {}
    query = select(_TENANT.c.id, _TENANT.c.name).where(_TENANT.c.id != PLATFORM_TENANT)
    return {row.id: row.name for row in await session.execute(query.order_by(_TENANT.c.name).limit(MOST_TENANTS))}
