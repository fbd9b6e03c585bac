"""Sessions and devices on the wire."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import convert

from app.core.wire import Outgoing
from app.modules.sessions.models import Session, UserDevice


class SessionRead(Outgoing):
    """A browser that is signed in."""

    id: UUID
    user_id: UUID
    ip: str | None
    user_agent: str | None
    created_at: datetime
    last_seen_at: datetime | None
    expires_at: datetime


class SessionPage(Outgoing):
    """A page of sessions, newest first."""

    items: Sequence[SessionRead]
    next_cursor: str | None
    prev_cursor: str | None


class DeviceRead(Outgoing):
    """A browser that signed this person in before, and is therefore known."""

    id: UUID
    label: str
    ip: str | None
    created_at: datetime
    last_seen_at: datetime


def read_session(row: Session) -> SessionRead:
    return convert(row, SessionRead, from_attributes=True)


def read_device(row: UserDevice) -> DeviceRead:
    return convert(row, DeviceRead, from_attributes=True)
