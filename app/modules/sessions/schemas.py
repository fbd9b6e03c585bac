"""Sessions and devices on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from msgspec import convert

from app.core.queries import Ids
from app.core.wire import Incoming, Outgoing
from app.modules.sessions.models import Session, UserDevice

State = Literal["open", "ended", "expired"]


class SessionFilter(NamedTuple):
    """Which sessions are wanted; without a state those that are open, as they are what can be ended.

    `device` is looked for in what the browser calls itself and in the device's name.
    """

    state: State = "open"
    device: str | None = None


class Revocations(Incoming):
    """Which sessions to end."""

    ids: Ids


class Revoked(Outgoing):
    """How many sessions have ended."""

    revoked: int


class SessionRead(Outgoing):
    """A browser that is signed in, or was: `state` is `open`, `ended` or `expired`."""

    id: UUID
    user_id: UUID
    ip: str | None
    user_agent: str | None
    state: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class SessionPage(Outgoing):
    """A page of sessions, in the order that was asked for."""

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
