"""Queries on proposals."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, select

from app.modules.articles.service import within
from app.modules.drafts.models import AiDraft, DraftStatus


@dataclass(frozen=True, slots=True)
class DraftFilter:
    """Which proposals; None means any."""

    status: DraftStatus | None = None
    tenant_id: UUID | None = None
    article_id: UUID | None = None
    ascending: bool = False


def fitting(wanted: DraftFilter, workspaces: frozenset[UUID] | None) -> Select[tuple[AiDraft]]:
    """Those that fit, and are about articles of these workspaces; None for all."""
    pairs = (
        (AiDraft.status, wanted.status),
        (AiDraft.tenant_id, wanted.tenant_id),
        (AiDraft.article_id, wanted.article_id),
    )
    query = select(AiDraft).where(*(column == value for column, value in pairs if value is not None))
    return query if workspaces is None else query.where(AiDraft.article_id.in_(within(workspaces)))
