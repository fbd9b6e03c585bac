"""What was tried against the walls between tenants, when, and with what result."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Row


class Status(StrEnum):
    """`held`: nothing got through. `breached`: something did. `failed`: it could not be tried to the end."""

    QUEUED = "queued"
    RUNNING = "running"
    HELD = "held"
    BREACHED = "breached"
    FAILED = "failed"


class IsolationRun(Row):
    """One run of the suite. `cases` are `schemas.Case`; a run that could not start or end has none."""

    __tablename__ = "isolation_run"
    __table_args__ = (CheckConstraint("status IN ('queued', 'running', 'held', 'breached', 'failed')", name="status"),)

    status: Mapped[str] = mapped_column(server_default=Status.QUEUED)
    asked_by: Mapped[str]
    job_id: Mapped[UUID | None]
    teknav: Mapped[str]
    """The version that ran."""
    cases: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'"))
    tried: Mapped[int] = mapped_column(server_default="0")
    got_through: Mapped[int] = mapped_column(server_default="0")
    skipped: Mapped[int] = mapped_column(server_default="0")
    error: Mapped[str | None]
    finished_at: Mapped[datetime | None]
