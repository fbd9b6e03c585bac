"""Mails on the wire, and how they are asked for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct

from app.core.access import Access
from app.core.wire import Outgoing
from app.modules.email.models import EmailLog

EMAIL_SEEN = Access("owner.read.email", "email", of="email_id", fields=("recipient", "text"))
Status = Literal["queued", "sent", "failed", "expired", "suppressed"]


class Ticket(Struct, frozen=True):
    """The one-time code and link of a mail: both are derived from the id `of` a row, for one purpose.

    The link is `path` and the ticket's text.
    """

    purpose: str
    of: UUID
    path: str


class Letter(Struct, frozen=True, kw_only=True):
    """A mail that is wanted. `template` is one of `Module.mails`, `props` fill it and hold no secret."""

    template: str
    to: str
    props: dict[str, Any] = {}
    ticket: Ticket | None = None
    good_until: datetime | None = None
    """It is not sent later than this."""
    key: str | None = None
    """A second letter of the tenant with the same key is not sent."""


class TemplateLetter(Struct, frozen=True, kw_only=True):
    """A mail that is wanted of a tenant's own template."""

    template: str
    """Its name; what it says now is what is sent."""
    to: str | UUID
    """An address, or the id of a member of the tenant."""
    values: dict[str, Any] = {}
    key: str | None = None
    """A second letter of the tenant with the same key is not sent."""


class EmailRead(Outgoing):
    """One mail. `text` is null where mails go to a mail server: then nobody here can read them."""

    id: UUID
    tenant_id: UUID
    template: str
    template_version: int
    recipient: str
    status: str
    error: str | None
    message_id: str | None
    created_at: datetime
    sent_at: datetime | None
    text: str | None = None


class EmailPage(Outgoing):
    """A page of mails, newest first, without their text."""

    items: Sequence[EmailRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: EmailLog, text: str | None = None) -> EmailRead:
    fields = {name: getattr(row, name) for name in EmailRead.__struct_fields__ if name != "text"}
    return EmailRead(**fields, text=text)
