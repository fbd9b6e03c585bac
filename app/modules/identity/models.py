"""People, their sessions, and the tokens of programs. Secrets are stored as hashes only."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Base, Row, TenantRow


class User(Row):
    """A person. `email` is stored in lower case; `role` is `owner` for the platform's owners, else `user`."""

    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]
    role: Mapped[str] = mapped_column(default="user", server_default="user")
    disabled_at: Mapped[datetime | None]


class Session(Row):
    """A browser that is signed in. The cookie holds the secret; `token_hash` is its SHA-256."""

    token_hash: Mapped[bytes] = mapped_column(unique=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    last_seen_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    ip: Mapped[str | None]
    user_agent: Mapped[str | None]


class OwnerLink(Row):
    """A link that makes the first owner, once."""

    token_hash: Mapped[bytes] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SignInCounter(Base):
    """Failed sign-ins from one address: for one account, and under the account `*` for all of them."""

    address: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    until: Mapped[datetime] = mapped_column(index=True)
    """When counting starts anew."""


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
