"""Releases: when readers get to see a version of an article, or see it no more."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import TenantRow


class Action(StrEnum):
    """What happens at that moment."""

    PUBLISH = "publish"
    UNPUBLISH = "unpublish"


class ReleaseStatus(StrEnum):
    """What became of it."""

    SCHEDULED = "scheduled"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Release(TenantRow):
    """One wish. A publication is of the version that was chosen then, however the draft goes on."""

    __tablename__ = "release"
    article_id: Mapped[UUID]
    action: Mapped[str]
    number: Mapped[int | None]
    run_at: Mapped[datetime]
    status: Mapped[str] = mapped_column(server_default=ReleaseStatus.SCHEDULED)
    error: Mapped[str | None] = mapped_column(Text)
    job_id: Mapped[UUID]
    requested_by: Mapped[str]
    correlation_id: Mapped[UUID | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "article_id"], ["article.tenant_id", "article.id"]),
        CheckConstraint("action IN ('publish', 'unpublish')", name="action"),
        CheckConstraint("status IN ('scheduled', 'completed', 'failed', 'cancelled')", name="status"),
        CheckConstraint("number IS NULL OR action = 'publish'", name="number"),
        Index(
            "uq_release_scheduled",
            "tenant_id",
            "article_id",
            "action",
            unique=True,
            postgresql_where=text("status = 'scheduled'"),
        ),
        Index("ix_release_list", "tenant_id", text("id DESC")),
        Index("ix_release_job", "job_id"),
        Index("ix_release_correlation", "correlation_id"),
        Index("ix_release_article", "tenant_id", "article_id", text("id DESC")),
    )
