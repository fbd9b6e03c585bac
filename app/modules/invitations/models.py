"""Invitations into tenants. The link's secret is stored as a hash only."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import TenantRow


class Invitation(TenantRow):
    """Whoever has the link, and this e-mail address, can become a member with this role."""

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), sort_order=-9)
    email: Mapped[str]
    role_id: Mapped[UUID]
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    created_by: Mapped[str]
    """The label of who invites."""

    @property
    def state(self) -> str:
        if self.accepted_at is not None:
            return "accepted"
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= datetime.now(UTC) else "pending"

    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "role_id"], ["role.tenant_id", "role.id"], ondelete="CASCADE"),
        Index("ix_invitation_tenant", "tenant_id", text("id DESC")),
        Index(
            "uq_invitation_open",
            "tenant_id",
            "email",
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
        ),
    )
