"""Questions that wait for people, and what each of them said."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.ids import new_id
from app.core.models import Base, TenantRow


class Status(StrEnum):
    """Where a question stands. `cancelled`: whoever asked does not want to know any more."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Approval(TenantRow):
    """One question. It is approved when `needed` people have said yes, and rejected by the first no."""

    __tablename__ = "approval"
    title: Mapped[str]
    note: Mapped[str] = mapped_column(server_default="")
    origin: Mapped[str]
    """What asks, for people."""
    link: Mapped[str]
    """Where that stands, under the dashboard's prefix."""
    requested_by: Mapped[str]
    """The actor on whose behalf it is asked, by kind and id; empty where nobody is."""
    self_approval: Mapped[bool] = mapped_column(server_default=text("false"))
    needed: Mapped[int] = mapped_column(server_default=text("1"))
    status: Mapped[str] = mapped_column(server_default=Status.PENDING)
    correlation_id: Mapped[UUID | None]
    expires_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        CheckConstraint("status IN ('pending', 'approved', 'rejected', 'expired', 'cancelled')", name="status"),
        Index("ix_approval_status", "tenant_id", "status", text("id DESC")),
        Index("ix_approval_correlation", "correlation_id"),
    )


class ApprovalDecision(Base):
    """What one person said. Never changed."""

    __tablename__ = "approval_decision"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant_id: Mapped[UUID]
    approval_id: Mapped[UUID]
    decided_by: Mapped[str]
    """The actor, by kind and id; `label` is for people."""
    label: Mapped[str]
    decision: Mapped[str]
    comment: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("approval_id", "decided_by"),
        ForeignKeyConstraint(["tenant_id", "approval_id"], ["approval.tenant_id", "approval.id"]),
        CheckConstraint("decision IN ('approve', 'reject')", name="decision"),
    )
