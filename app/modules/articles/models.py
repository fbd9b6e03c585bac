"""Articles: Markdown as it was written, and the HTML that was made of it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import TenantRow


class Status(StrEnum):
    """Whether readers see an article; `review` waits for somebody to say that they may."""

    DRAFT = "draft"
    REVIEW = "review"
    PUBLISHED = "published"


class Article(TenantRow):
    """One article. `deleted_at` takes it out of every list and frees its slug; the row stays."""

    __tablename__ = "article"
    workspace_id: Mapped[UUID | None]
    slug: Mapped[str]
    title: Mapped[str]
    body_markdown: Mapped[str] = mapped_column(Text)
    body_html: Mapped[str] = mapped_column(Text)
    """Sanitised when it was written, so that pages and API serve it as it is."""
    excerpt: Mapped[str] = mapped_column(server_default="")
    language: Mapped[str] = mapped_column(server_default="en")
    status: Mapped[str] = mapped_column(server_default=Status.DRAFT)
    published_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    summary: Mapped[str | None] = mapped_column(Text)
    summary_keywords: Mapped[list[str] | None]
    summary_provider: Mapped[str | None]
    summary_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        ForeignKeyConstraint(["tenant_id", "workspace_id"], ["workspace.tenant_id", "workspace.id"]),
        CheckConstraint("status IN ('draft', 'review', 'published')", name="status"),
        Index("uq_article_slug", "tenant_id", "slug", unique=True, postgresql_where=text("deleted_at IS NULL")),
        Index("ix_article_list", "tenant_id", text("id DESC"), postgresql_where=text("deleted_at IS NULL")),
        Index("ix_article_status", "tenant_id", "status", text("id DESC"), postgresql_where=text("deleted_at IS NULL")),
        Index("ix_article_workspace", "tenant_id", "workspace_id"),
    )
