"""Each try at a task of AI, what was said, and what happened on the way."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from advanced_alchemy.types import JsonB
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Numeric,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.ids import new_id
from app.core.models import Base, Json, TenantRow


class RunStatus(StrEnum):
    """Where one try stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class AiRun(TenantRow):
    """One try at a task: which model wrote, how long it took, what it used. At most one of a task is open.

    `attempt` counts on from 1 through every replay. `template_version` is that of the kind's template, 0 for the
    code's own words; None where nobody was told anything. `usage` has `input`, `cacheRead`, `cacheWrite`, `output` and
    `reasoning`: tokens, each counted once. `cost` is in US dollars. Both are None where the provider did not say.
    """

    __tablename__ = "ai_run"
    task_id: Mapped[UUID]
    attempt: Mapped[int]
    provider: Mapped[str]
    model: Mapped[str | None]
    template_version: Mapped[int | None]
    status: Mapped[str] = mapped_column(server_default=RunStatus.RUNNING)
    error_code: Mapped[str | None]
    error_message: Mapped[str | None] = mapped_column(Text)
    usage: Mapped[Json | None]
    cost: Mapped[Decimal | None] = mapped_column(Numeric(18, 12))
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("task_id", "attempt"),
        ForeignKeyConstraint(["tenant_id", "task_id"], ["ai_task.tenant_id", "ai_task.id"]),
        CheckConstraint("status IN ('running', 'completed', 'failed')", name="status"),
        Index("uq_ai_run_open", "task_id", unique=True, postgresql_where=text("finished_at IS NULL")),
        Index("ix_ai_run_status", "tenant_id", "status", text("id DESC")),
    )

    @property
    def error(self) -> dict[str, str] | None:
        """Why it failed: a stable word, and a sentence."""
        code = self.error_code
        return {"code": code, "message": self.error_message or code} if code else None

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from start to end; None while it runs."""
        return None if self.finished_at is None else round((self.finished_at - self.created_at).total_seconds() * 1000)

    @property
    def cost_usd(self) -> str | None:
        """Plain decimal digits, "0.00042"; the number itself would be written 4.2E-4."""
        return None if self.cost is None else f"{self.cost.normalize():f}"


class AiReport(Base):
    """What the ended runs of one day, by UTC, have used: each counts with the day on which it was begun.

    A trigger of `ai_run` keeps it equal to the sum of the runs, in the transaction that ends one. `model` is the
    provider's name where no model was told.
    """

    __tablename__ = "ai_report"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    runs: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    input: Mapped[int] = mapped_column(BigInteger)
    cache_read: Mapped[int] = mapped_column(BigInteger)
    cache_write: Mapped[int] = mapped_column(BigInteger)
    output: Mapped[int] = mapped_column(BigInteger)
    reasoning: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[Decimal] = mapped_column(Numeric(24, 12))

    __table_args__ = (Index("ix_ai_report_day", "day"),)


class AiMessage(Base):
    """One message of a run, in the order in which it was said. Never changed.

    `sha256` is that of the parts as JSON, in hexadecimal digits.
    """

    __tablename__ = "ai_message"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant_id: Mapped[UUID]
    run_id: Mapped[UUID]
    seq: Mapped[int] = mapped_column(SmallInteger)
    role: Mapped[str]
    parts: Mapped[list[dict[str, Any]]] = mapped_column(JsonB)
    sha256: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("run_id", "seq"),
        ForeignKeyConstraint(["tenant_id", "run_id"], ["ai_run.tenant_id", "ai_run.id"]),
    )


class AiEventLog(Base):
    """What happened in a run, step by step. Append-only, and kept by the month of the run.

    Nothing points at it and it points at nothing: a month goes as one. `id` is the order of lists over all runs.
    """

    __tablename__ = "ai_event_log"
    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[UUID] = mapped_column(default=new_id)
    tenant_id: Mapped[UUID]
    type: Mapped[str]
    level: Mapped[str]
    """info, warning or error."""
    payload: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (
        Index("ix_ai_event_log_id", text("id DESC")),
        Index("ix_ai_event_log_tenant", "tenant_id", text("id DESC")),
        {"postgresql_partition_by": "RANGE (run_id)", "info": {"erase": "teknav_erase_ai_events"}},
    )
