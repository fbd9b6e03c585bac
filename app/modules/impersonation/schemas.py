"""Impersonations on the wire."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import convert, field

from app.core.wire import Incoming, Outgoing
from app.modules.impersonation.models import Impersonation

MAX_REASON = 300


class StartForm(Incoming):
    """The dashboard's form: why it is needed."""

    reason: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


class ImpersonationRead(Outgoing):
    """One time in which somebody of the platform saw a tenant as one of its members. `label` is who looked."""

    id: UUID
    tenant_id: UUID
    member_id: UUID
    user_id: UUID
    label: str
    reason: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class ImpersonationPage(Outgoing):
    """A page of impersonations, in the order that was asked for."""

    items: Sequence[ImpersonationRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: Impersonation) -> ImpersonationRead:
    return convert(row, ImpersonationRead, from_attributes=True)
