"""Times in which somebody of the platform saw a tenant as one of its members does."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import TenantRow


class Impersonation(TenantRow):
    """One such time, bound to one session. It is over at `ended_at`, else at `expires_at`, else with the session."""

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), sort_order=-9)
    member_id: Mapped[UUID]
    session_id: Mapped[UUID] = mapped_column(ForeignKey("session.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    """Who looks."""
    label: Mapped[str]
    reason: Mapped[str]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "member_id"], ["tenant_member.tenant_id", "tenant_member.id"], ondelete="CASCADE"
        ),
        Index("uq_impersonation_open", "session_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("ix_impersonation_tenant", "tenant_id", text("id DESC")),
    )
