"""The credentials of programs. Secrets are stored as hashes only."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import TenantRow


class ApiToken(TenantRow):
    """A program's credential, tied to a tenant and perhaps to one workspace of it.

    The platform's own tokens stand under the platform's tenant. `prefix` is the part of the secret that is shown.
    """

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), sort_order=-9)
    workspace_id: Mapped[UUID | None]
    name: Mapped[str]
    prefix: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    created_by: Mapped[str]
    """The label of who made it."""

    @property
    def state(self) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= datetime.now(UTC) else "active"

    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "workspace_id"], ["workspace.tenant_id", "workspace.id"]),
        Index("ix_api_token_tenant", "tenant_id", "id"),
    )
