"""Queries on proposals."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.queries import between
from app.core.signs import Sign, Weight, counted
from app.modules.articles.service import within
from app.modules.drafts.models import AiDraft, DraftStatus


@dataclass(frozen=True, slots=True)
class DraftFilter:
    """Which proposals; None means any."""

    status: DraftStatus | None = None
    tenant_id: UUID | None = None
    article_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


def fitting(wanted: DraftFilter, workspaces: frozenset[UUID] | None) -> Select[tuple[AiDraft]]:
    """Those that fit, and are about articles of these workspaces; None for all. `since` is in, `until` is not."""
    pairs = (
        (AiDraft.status, wanted.status),
        (AiDraft.tenant_id, wanted.tenant_id),
        (AiDraft.article_id, wanted.article_id),
    )
    query = select(AiDraft).where(*(column == value for column, value in pairs if value is not None))
    query = between(query, AiDraft.id, wanted.since, wanted.until)
    return query if workspaces is None else query.where(AiDraft.article_id.in_(within(workspaces)))


async def signs(session: AsyncSession) -> list[Sign]:
    """What AI has proposed and nobody has decided; nothing where nothing waits."""
    query = select(func.count()).select_from(AiDraft).where(AiDraft.status == DraftStatus.PROPOSED)
    waiting = await session.scalar(query) or 0
    text = f"{counted(waiting, 'proposal', 'proposals')} of AI to accept or reject"
    here = f"/ai/drafts?status={DraftStatus.PROPOSED}"
    return [Sign("Proposals", f"{waiting:,}", text, Weight.OK, here)] if waiting else []
