"""Where people are signed in, and from which browsers. Secrets are stored as hashes only."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Row


class UserDevice(Row):
    """A browser that signed this person in before. Its cookie holds the secret; `token_hash` is its SHA-256."""

    user_id: Mapped[UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    label: Mapped[str]
    ip: Mapped[str | None]
    last_seen_at: Mapped[datetime]


class Session(Row):
    """A browser that is signed in. The cookie holds the secret; `token_hash` is its SHA-256."""

    token_hash: Mapped[bytes] = mapped_column(unique=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    device_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_device.id", ondelete="SET NULL"))
    expires_at: Mapped[datetime] = mapped_column(index=True)
    confirmed_at: Mapped[datetime | None]
    """When the person last proved who it is, by signing in or when asked again."""
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    revoked_at: Mapped[datetime | None]
    ip: Mapped[str | None]
    user_agent: Mapped[str | None]

    @property
    def state(self) -> str:
        if self.revoked_at is not None:
            return "ended"
        return "expired" if self.expires_at <= datetime.now(UTC) else "open"
