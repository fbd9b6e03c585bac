"""What proves that somebody is who they say, beside a password."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Base, Row


class OtpCode(Row):
    """A one-time code and link. Both are derived from `id`; nothing from which they could be learnt is stored.

    There is a row for an address without an account, too, so that asking tells nobody which accounts there are.
    """

    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    email: Mapped[str]
    purpose: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    expires_at: Mapped[datetime] = mapped_column(index=True)
    consumed_at: Mapped[datetime | None]
    ip: Mapped[str | None]

    __table_args__ = (Index("ix_otp_code_email", "email", "id"), Index("ix_otp_code_ip", "ip", "id"))


class Totp(Base):
    """The secret that a person's authenticator app shares with us, encrypted. It counts once it was confirmed."""

    user_id: Mapped[UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[bytes]
    confirmed_at: Mapped[datetime | None]
    last_step: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """The time step of the last code that was accepted; none is accepted twice."""
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    failures_until: Mapped[datetime | None]
    """When counting wrong codes starts anew."""


class RecoveryCode(Row):
    """One of the codes that stand in for a lost authenticator, each once. `code_hash` is its SHA-256."""

    user_id: Mapped[UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    code_hash: Mapped[bytes]
    used_at: Mapped[datetime | None]
