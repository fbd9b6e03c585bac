"""Mails on the wire, and how they are asked for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

from msgspec import Meta, Struct, field

from app.core.access import Access
from app.core.moments import moment
from app.core.queries import one_of, text_of, uuid_of, wire_name
from app.core.wire import Incoming, Outgoing
from app.modules.email.models import EmailLog

EMAILS_SEEN = Access("owner.read.email", "email", fields=("recipient",))
OWN_EMAILS_SEEN = Access("email.read", "email", fields=("recipient",))
EMAIL_SEEN = Access("owner.read.email", "email", of="email_id", fields=("recipient", "text"))
OWN_EMAIL_SEEN = Access("email.read", "email", of="email_id", fields=("recipient", "text"))
MAX_KEY = 200
Status = Literal["queued", "sent", "failed", "expired", "suppressed"]
STATUSES: tuple[Status, ...] = get_args(Status)


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


class EmailSend(Incoming):
    """A mail that is wanted: of one of the tenant's templates, to an address or to a member.

    A second one with the same `deduplicationKey` is not sent; the first is answered.
    """

    template: Annotated[str, Meta(min_length=1, max_length=80, description="Its name", examples=["order-shipped"])]
    to: Annotated[str, Meta(max_length=254, description="An address", examples=["reader@example.org"])] | None = None
    member_id: UUID | None = None
    values: Annotated[dict[str, Any], Meta(max_length=50, examples=[{"name": "Ann"}])] = field(default_factory=dict)
    deduplication_key: Annotated[str, Meta(min_length=1, max_length=MAX_KEY, examples=["order-7-shipped"])] | None = (
        None
    )


class EmailFilter(Struct, frozen=True, kw_only=True):
    """Which mails; None means any. `recipient` is how the address begins."""

    recipient: str | None = None
    status: Status | None = None
    template: str | None = None
    tenant_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


class EmailQuery(Struct, frozen=True, kw_only=True, rename=wire_name):
    """The filters as the address has them."""

    q: str | None = None
    status: str | None = None
    template: str | None = None
    tenant_id: str | None = None
    since: str | None = None
    until: str | None = None

    def filter(self) -> EmailFilter:
        """
        Raises:
            Invalid: naming the parameter.
        """
        return EmailFilter(
            recipient=text_of("q", self.q),
            status=one_of("status", self.status, Status),
            template=text_of("template", self.template),
            tenant_id=uuid_of("tenantId", self.tenant_id),
            since=moment("from", self.since),
            until=moment("to", self.until, end=True),
        )


class EmailRead(Outgoing):
    """One mail. `templateId` tells a tenant's own template; `text` is null where nobody can know what it says."""

    id: UUID
    tenant_id: UUID
    template: str
    template_version: int
    template_id: UUID | None
    category: str
    recipient: str
    status: str
    error: str | None
    message_id: str | None
    created_at: datetime
    sent_at: datetime | None
    correlation_id: UUID | None
    text: str | None = None


class EmailPage(Outgoing):
    """A page of mails, newest first, without their text."""

    items: Sequence[EmailRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: EmailLog, text: str | None = None) -> EmailRead:
    fields = {name: getattr(row, name) for name in EmailRead.__struct_fields__ if name != "text"}
    return EmailRead(**fields, text=text)
