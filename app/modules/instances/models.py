"""What runs: an instance of a workflow's version, and each try at each of its steps."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Json, TenantRow


class Status(StrEnum):
    """Where an instance stands. `pending`: not begun; `waiting`: for a time, for people or for another queue's work."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    """Where one try at a step stands."""

    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


UNFINISHED = (Status.PENDING, Status.RUNNING, Status.WAITING, Status.PAUSED)
MANUAL = "manual"


class Place(NamedTuple):
    """Where an instance is: which step, the how manieth time it is at it, the how manieth try."""

    step: str
    iteration: int
    attempt: int


class WorkflowInstance(TenantRow):
    """One run of a workflow. It goes on from its place, one step in each transaction."""

    __tablename__ = "workflow_instance"
    definition_id: Mapped[UUID]
    version_id: Mapped[UUID]
    status: Mapped[str] = mapped_column(server_default=Status.PENDING)
    trigger: Mapped[str]
    """`manual`, or the fact that started it."""
    input: Mapped[Json]
    steps: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    """What came of each step that has run, by its key."""
    subject: Mapped[str] = mapped_column(server_default="")
    """The article that it is about."""
    correlation_id: Mapped[UUID | None]
    concurrency_key: Mapped[str | None]
    started_by: Mapped[str]
    """The actor, by kind and id; `label` is for people."""
    label: Mapped[str]
    restarted_from: Mapped[UUID | None]
    step: Mapped[str]
    iteration: Mapped[int] = mapped_column(server_default=text("1"))
    attempt: Mapped[int] = mapped_column(server_default=text("1"))
    first_attempt: Mapped[int] = mapped_column(server_default=text("1"))
    """Where the tries of this step are counted from: a person's retry gives it all of them again."""
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    """Tries at steps in all, since it was started or a person has let it try again; 0 means that it has to begin."""
    wake_at: Mapped[datetime | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(
            ["tenant_id", "definition_id"], ["workflow_definition.tenant_id", "workflow_definition.id"]
        ),
        ForeignKeyConstraint(["tenant_id", "version_id"], ["workflow_version.tenant_id", "workflow_version.id"]),
        CheckConstraint(
            "status IN ('pending', 'running', 'waiting', 'paused', 'succeeded', 'failed', 'cancelled')", name="status"
        ),
        Index("ix_workflow_instance_status", "tenant_id", "status", text("id DESC")),
        Index("ix_workflow_instance_definition", "tenant_id", "definition_id", text("id DESC")),
        Index(
            "ix_workflow_instance_concurrency",
            "definition_id",
            "concurrency_key",
            "id",
            postgresql_where=text("concurrency_key IS NOT NULL AND finished_at IS NULL"),
        ),
        Index("ix_workflow_instance_correlation", "correlation_id"),
        # A fact that follows from an instance does not start its workflow again.
        Index(
            "uq_workflow_instance_fact",
            "definition_id",
            "correlation_id",
            "subject",
            unique=True,
            postgresql_where=text("trigger <> 'manual'"),
        ),
    )

    @property
    def place(self) -> Place:
        return Place(self.step, self.iteration, self.attempt)

    @property
    def error(self) -> dict[str, str] | None:
        return {"code": self.error_code, "message": self.error_message or ""} if self.error_code else None

    @property
    def context(self) -> Json:
        return {"input": self.input, "steps": self.steps}


class WorkflowStepExecution(TenantRow):
    """One try at a step. It waits while what it has asked for is under way, and `waiting_for` names that."""

    __tablename__ = "workflow_step_execution"
    instance_id: Mapped[UUID]
    step_key: Mapped[str]
    type: Mapped[str]
    iteration: Mapped[int]
    attempt: Mapped[int]
    status: Mapped[str]
    input: Mapped[Json]
    """The step as the version has it."""
    output: Mapped[Json | None]
    waiting_for: Mapped[str | None]
    """"ai_task:…", "approval:…" with an id, or "clock"."""
    job_id: Mapped[UUID]
    """The job that began it."""
    error_code: Mapped[str | None]
    error_message: Mapped[str | None] = mapped_column(Text)
    next_retry_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("instance_id", "step_key", "iteration", "attempt"),
        ForeignKeyConstraint(["tenant_id", "instance_id"], ["workflow_instance.tenant_id", "workflow_instance.id"]),
        CheckConstraint("status IN ('waiting', 'succeeded', 'failed', 'cancelled')", name="status"),
        Index("ix_workflow_step_execution_waiting", "waiting_for", postgresql_where=text("status = 'waiting'")),
    )

    @property
    def error(self) -> dict[str, str] | None:
        return {"code": self.error_code, "message": self.error_message or ""} if self.error_code else None

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from start to end; None while it waits."""
        return None if self.finished_at is None else round((self.finished_at - self.created_at).total_seconds() * 1000)
