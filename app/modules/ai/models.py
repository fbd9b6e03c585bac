"""What AI was asked to do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Json, TenantRow


class TaskStatus(StrEnum):
    """Where a task stands. Between two tries it is queued again."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Tries:
    """How often a task's job has failed since it was begun, of how many times, and when the next try begins."""

    failed: int
    most: int
    next_at: datetime | None


class AiTask(TenantRow):
    """Something that a caller wants of AI for an article. Its job runs it; each try is an `AiRun`.

    `input` is what its kind takes beside the article. While `idempotency_key` is known, asking again with it gives
    this task, whatever became of it.
    """

    __allow_unmapped__ = True
    tries: Tries | None = None
    """Not a column: read from the job by whoever shows the task; None when the job's month is gone."""
    __tablename__ = "ai_task"
    kind: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=TaskStatus.QUEUED)
    article_id: Mapped[UUID]
    input: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    job_id: Mapped[UUID] = mapped_column(unique=True)
    requested_by: Mapped[str]
    correlation_id: Mapped[UUID | None]
    idempotency_key: Mapped[str | None]
    cancel_requested_at: Mapped[datetime | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None] = mapped_column(Text)
    result: Mapped[Json | None]
    """What came of a completed task, in the form of the API: `provider`, and what its kind has."""
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("tenant_id", "idempotency_key", name="uq_ai_task_idempotency_key"),
        ForeignKeyConstraint(["tenant_id", "article_id"], ["article.tenant_id", "article.id"]),
        CheckConstraint("status IN ('queued', 'running', 'completed', 'failed', 'cancelled')", name="status"),
        Index("ix_ai_task_article", "tenant_id", "article_id", text("id DESC")),
        Index("ix_ai_task_correlation", "correlation_id"),
        Index("ix_ai_task_status", "tenant_id", "status", text("id DESC")),
        Index("ix_ai_task_kind", "tenant_id", "kind", text("id DESC")),
    )

    @property
    def error(self) -> dict[str, str] | None:
        """Why it failed: a stable word, and a sentence."""
        code = self.error_code
        return {"code": code, "message": self.error_message or code} if code else None
