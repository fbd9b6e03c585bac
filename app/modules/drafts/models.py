"""What AI proposes to change in an article, and what a person made of it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Json, TenantRow


class DraftStatus(StrEnum):
    """What became of a proposal."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class AiDraft(TenantRow):
    """A proposal: `patch` names the new values of an article's fields, `before` those that the writer had seen.

    `base_version` is the article's version at that time. Nothing changes before a person accepts.
    """

    __tablename__ = "ai_draft"
    article_id: Mapped[UUID]
    task_id: Mapped[UUID]
    run_id: Mapped[UUID]
    kind: Mapped[str]
    provider: Mapped[str]
    base_version: Mapped[int]
    before: Mapped[Json]
    patch: Mapped[Json]
    note: Mapped[str] = mapped_column(server_default="")
    status: Mapped[str] = mapped_column(server_default=DraftStatus.PROPOSED)
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    reason: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "article_id"], ["article.tenant_id", "article.id"]),
        ForeignKeyConstraint(["tenant_id", "task_id"], ["ai_task.tenant_id", "ai_task.id"]),
        CheckConstraint("status IN ('proposed', 'accepted', 'rejected')", name="status"),
        Index("ix_ai_draft_article", "tenant_id", "article_id", text("id DESC")),
        Index("ix_ai_draft_status", "tenant_id", "status", text("id DESC")),
        Index("ix_ai_draft_task", "tenant_id", "task_id"),
    )

    @property
    def changes(self) -> list[str]:
        """The fields that it is about."""
        return sorted(self.patch)
