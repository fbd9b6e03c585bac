"""Articles: what people write, every version of it, and the one that readers see."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.core.ids import new_id
from app.core.models import Base, Json, TenantRow


class Status(StrEnum):
    """How the newest version stands: it is written on, waits for somebody to say yes, or is what readers see."""

    DRAFT = "draft"
    REVIEW = "review"
    PUBLISHED = "published"


class Treatment(StrEnum):
    """What can be done with many articles at once."""

    PUBLISH = "publish"
    UNPUBLISH = "unpublish"
    DELETE = "delete"


class Article(TenantRow):
    """One article, as it is written on. `deleted_at` takes it out of every list and frees its slug; the row stays.

    Its content is that of version `draft_version`; readers see `published_version`, while there is one.
    """

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
    draft_version: Mapped[int] = mapped_column(server_default="1")
    published_version: Mapped[int | None]
    published_at: Mapped[datetime | None]
    """Since when readers see it, in whatever version."""
    deleted_at: Mapped[datetime | None]
    summary: Mapped[str | None] = mapped_column(Text)
    summary_keywords: Mapped[list[str] | None]
    summary_provider: Mapped[str | None]
    summary_at: Mapped[datetime | None]
    search: Mapped[str] = mapped_column(TSVECTOR, server_default="", deferred=True)

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        ForeignKeyConstraint(["tenant_id", "workspace_id"], ["workspace.tenant_id", "workspace.id"]),
        CheckConstraint("status IN ('draft', 'review', 'published')", name="status"),
        CheckConstraint("status <> 'published' OR published_version = draft_version", name="published"),
        CheckConstraint("(published_version IS NULL) = (published_at IS NULL)", name="live"),
        Index("uq_article_slug", "tenant_id", "slug", unique=True, postgresql_where=text("deleted_at IS NULL")),
        Index("ix_article_list", "tenant_id", text("id DESC"), postgresql_where=text("deleted_at IS NULL")),
        Index("ix_article_status", "tenant_id", "status", text("id DESC"), postgresql_where=text("deleted_at IS NULL")),
        Index(
            "ix_article_language",
            "tenant_id",
            "language",
            text("id DESC"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_article_workspace", "tenant_id", "workspace_id"),
        Index("ix_article_search", "search", postgresql_using="gin"),
        Index("ix_article_title", "title", postgresql_using="gin", postgresql_ops={"title": "gin_trgm_ops"}),
    )


class ArticleVersion(Base):
    """The content of an article as it was: written once with each change, and never changed."""

    __tablename__ = "article_version"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant_id: Mapped[UUID]
    article_id: Mapped[UUID]
    number: Mapped[int]
    snapshot: Mapped[Json]
    """`title`, `slug`, `language` and `body`, which is Markdown."""
    sha256: Mapped[str]
    author: Mapped[str]
    reason: Mapped[str | None]
    ai_run_id: Mapped[UUID | None]
    """The run of AI that wrote it, where one did."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("tenant_id", "article_id", "number", name="uq_article_version_number"),
        ForeignKeyConstraint(["tenant_id", "article_id"], ["article.tenant_id", "article.id"]),
    )


class Publication(Base):
    """What readers see of an article: one of its versions, with the HTML that was made of it."""

    __tablename__ = "publication"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    """Its order: that in which readers got to see the articles."""
    tenant_id: Mapped[UUID]
    article_id: Mapped[UUID]
    workspace_id: Mapped[UUID | None]
    number: Mapped[int]
    slug: Mapped[str]
    title: Mapped[str]
    body_html: Mapped[str] = mapped_column(Text)
    excerpt: Mapped[str]
    language: Mapped[str]
    published_at: Mapped[datetime]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    """Since when readers see this version."""
    search: Mapped[str] = mapped_column(TSVECTOR, server_default="", deferred=True)

    __table_args__ = (
        UniqueConstraint("tenant_id", "article_id", name="uq_publication_article"),
        UniqueConstraint("tenant_id", "slug", name="uq_publication_slug"),
        ForeignKeyConstraint(["tenant_id", "article_id"], ["article.tenant_id", "article.id"]),
        ForeignKeyConstraint(["tenant_id", "workspace_id"], ["workspace.tenant_id", "workspace.id"]),
        Index("ix_publication_list", "tenant_id", text("id DESC")),
        Index("ix_publication_workspace", "tenant_id", "workspace_id"),
        Index("ix_publication_search", "search", postgresql_using="gin"),
        Index("ix_publication_title", "title", postgresql_using="gin", postgresql_ops={"title": "gin_trgm_ops"}),
    )
