"""Suppressions and preferences on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, convert, field

from app.core.wire import Incoming, Outgoing
from app.modules.email_preferences.models import EmailPreference, EmailSuppression, Reason

Recipient = Annotated[str, Meta(min_length=3, max_length=254, examples=["reader@example.org"])]


class SuppressionCreate(Incoming):
    """An address to which nothing is to be sent any more."""

    recipient: Recipient
    reason: Reason = Reason.MANUAL


class SuppressionForm(Incoming):
    """The dashboard's form for that."""

    recipient: str = ""
    reason: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


class SuppressionRead(Outgoing):
    """An address to which nothing is sent; to one that only unsubscribed, transactional mails are."""

    id: UUID
    tenant_id: UUID
    recipient: str
    reason: Reason
    email_id: UUID | None
    created_at: datetime
    updated_at: datetime


class SuppressionPage(Outgoing):
    """A page of suppressions, newest first."""

    items: Sequence[SuppressionRead]
    next_cursor: str | None
    prev_cursor: str | None


class PreferenceChange(Incoming):
    """Whether an address gets the mails of a category, or with `*` all that people can do without."""

    recipient: Recipient
    category: Annotated[str, Meta(min_length=1, max_length=40, examples=["newsletter"])]
    subscribed: bool


class PreferenceRead(Outgoing):
    """What somebody chose. Where nothing is chosen, mails are sent."""

    id: UUID
    tenant_id: UUID
    recipient: str
    category: str
    subscribed: bool
    created_at: datetime
    updated_at: datetime


class PreferencePage(Outgoing):
    """A page of preferences, newest first."""

    items: Sequence[PreferenceRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: EmailSuppression) -> SuppressionRead:
    return convert(row, SuppressionRead, from_attributes=True)


def read_preference(row: EmailPreference) -> PreferenceRead:
    return convert(row, PreferenceRead, from_attributes=True)
