"""People, and what they told about themselves."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from app.core.models import Base, Row


class User(Row):
    """A person. `email` is stored in lower case; `role` is what the person is on the platform, `user` for nothing.

    Without a password, a link by mail sets one. `disabled_at` is since when the person is banned.
    """

    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    phone: Mapped[str | None]
    password_hash: Mapped[str | None]
    role: Mapped[str] = mapped_column(default="user", server_default="user", index=True)
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1, server_default="1", sort_order=92)

    @property
    def state(self) -> str:
        return "banned" if self.disabled_at else "active" if self.password_hash else "invited"

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.version}


class UserProfile(Base):
    """What a person chose to tell; without a row, nothing."""

    user_id: Mapped[UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    timezone: Mapped[str] = mapped_column(default="UTC", server_default="UTC")
    """An IANA name; times in mails are told in it."""
    about: Mapped[str] = mapped_column(default="", server_default="")


class UserConsent(Row):
    """One answer to one version of one purpose's text. The newest of a purpose counts; none is ever changed."""

    user_id: Mapped[UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    purpose: Mapped[str]
    text_version: Mapped[int]
    granted: Mapped[bool]
    ip: Mapped[str | None]

    __table_args__ = (Index("ix_user_consent_newest", "user_id", "purpose", "id"),)
