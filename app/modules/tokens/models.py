"""The credentials of programs. Secrets are stored as hashes only."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from app.core.models import TenantRow


class Credential(TenantRow):
    """What a program shows, tied to a tenant and perhaps to one workspace of it.

    `prefix` is the part of the secret that is shown. After a rotation the secret before, `previous_hash`, is good
    until `previous_until`.
    """

    __abstract__ = True
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), sort_order=-9)
    workspace_id: Mapped[UUID | None]
    name: Mapped[str]
    prefix: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    previous_hash: Mapped[bytes | None] = mapped_column(unique=True)
    previous_until: Mapped[datetime | None]
    scopes: Mapped[list[str]]
    addresses: Mapped[list[str]] = mapped_column(default=list, server_default=text("'[]'::jsonb"))
    """Networks that it may be used from, `203.0.113.0/24`; none is from anywhere."""
    plan: Mapped[str] = mapped_column(default="standard", server_default="standard")
    """How much it may ask of the API."""
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

    @property
    def overlap_until(self) -> datetime | None:
        """Until when the secret before is good as well; None when it is not, or there was none."""
        until = self.previous_until
        return until if until is not None and until > datetime.now(UTC) and self.state == "active" else None

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[ForeignKeyConstraint | Index, ...]:
        return (
            ForeignKeyConstraint(["tenant_id", "workspace_id"], ["workspace.tenant_id", "workspace.id"]),
            Index(f"ix_{cls.__tablename__}_tenant", "tenant_id", "id"),
        )


class ApiToken(Credential):
    """Shown with every call. The platform's own tokens stand under the platform's tenant."""


class ApiClient(Credential):
    """Exchanges its id and its secret for JWTs, and shows those. A JWT of an epoch before is refused."""

    epoch: Mapped[int] = mapped_column(default=1, server_default="1")
