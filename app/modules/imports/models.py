"""Imports of articles from files, and what became of each thing in them."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import TenantRow


class Status(StrEnum):
    """How far an import is."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class Outcome(StrEnum):
    """What became of one thing in the file; `ready` says that a dry run would have created it."""

    CREATED = "created"
    READY = "ready"
    SKIPPED = "skipped"
    FAILED = "failed"


class ImportRun(TenantRow):
    """One file that is read. `data` is the file, until all of it was read; `actor_…` is who its articles are by."""

    __tablename__ = "import_run"
    workspace_id: Mapped[UUID | None]
    format: Mapped[str]
    file_name: Mapped[str]
    byte_count: Mapped[int]
    dry_run: Mapped[bool]
    status: Mapped[str]
    total: Mapped[int | None]
    created: Mapped[int]
    skipped: Mapped[int]
    failed: Mapped[int]
    data: Mapped[bytes | None] = mapped_column(deferred=True)
    job_id: Mapped[UUID]
    correlation_id: Mapped[UUID | None]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    actor_label: Mapped[str]
    error: Mapped[str | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        ForeignKeyConstraint(["tenant_id", "workspace_id"], ["workspace.tenant_id", "workspace.id"]),
        CheckConstraint("format IN ('markdown', 'wxr')", name="format"),
        CheckConstraint("status IN ('queued', 'running', 'completed', 'failed')", name="status"),
        Index("ix_import_run_list", "tenant_id", text("id DESC")),
        Index("ix_import_run_correlation", "correlation_id"),
        Index("ix_import_run_workspace", "tenant_id", "workspace_id"),
    )

    @property
    def done(self) -> int:
        return self.created + self.skipped + self.failed


class ImportItem(TenantRow):
    """One thing in the file, in the order of `n`. `source` tells it apart in all files: its path, or its guid."""

    __tablename__ = "import_item"
    import_id: Mapped[UUID]
    n: Mapped[int]
    source: Mapped[str]
    title: Mapped[str]
    dated: Mapped[str | None]
    tags: Mapped[list[str]]
    digest: Mapped[str]
    outcome: Mapped[str]
    reason: Mapped[str | None]
    article_id: Mapped[UUID | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "import_id", "n"),
        ForeignKeyConstraint(["tenant_id", "import_id"], ["import_run.tenant_id", "import_run.id"]),
        ForeignKeyConstraint(["tenant_id", "article_id"], ["article.tenant_id", "article.id"]),
        CheckConstraint("outcome IN ('created', 'ready', 'skipped', 'failed')", name="outcome"),
        Index("ix_import_item_source", "tenant_id", "source", postgresql_where=text("outcome = 'created'")),
        Index("ix_import_item_article", "tenant_id", "article_id"),
    )
