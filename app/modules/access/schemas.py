"""Reads on the wire."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct, convert

from app.core.errors import Invalid
from app.core.moments import moment
from app.core.queries import text_of, uuid_of, wire_name
from app.core.wire import Outgoing
from app.modules.access.models import DataAccessLog

YES_NO = {"true": True, "false": False}


class AccessFilter(Struct, frozen=True, kw_only=True):
    """Which rows are wanted; None wants all. Times are half open: `since` is in, `until` is not."""

    action: str | None = None
    """An action, or the start of several: `owner.read` finds `owner.read.audit` too."""
    resource: str | None = None
    """A type, `job`, or one thing, `job:ID`."""
    actor: str | None = None
    """The start of an e-mail address or of a token's name, whatever the case."""
    actor_id: UUID | None = None
    tenant_id: UUID | None = None
    request_id: str | None = None
    correlation_id: UUID | None = None
    exported: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


class AccessRead(Outgoing):
    """One read of something sensitive.

    `query` is the fingerprint of a list's filters: the same for the same question. `fields` is what of it is
    sensitive. `purpose` is what the caller said in `X-Purpose`.
    """

    id: UUID
    tenant_id: UUID
    created_at: datetime
    action: str
    actor_kind: str
    actor_id: UUID | None
    actor_label: str
    impersonator_id: UUID | None
    token_id: UUID | None
    resource_type: str
    resource_id: str | None
    query: str | None
    row_count: int
    fields: list[str]
    purpose: str | None
    cached: bool
    exported: bool
    request_id: str | None
    correlation_id: UUID | None
    ip: str | None
    user_agent: str | None
    path: str | None


class AccessPage(Outgoing):
    """A page of reads, newest first."""

    items: Sequence[AccessRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: DataAccessLog) -> AccessRead:
    return convert(row, AccessRead, from_attributes=True)


class AccessQuery(Struct, frozen=True, kw_only=True, rename=wire_name):
    """The filters as the address has them."""

    action: str | None = None
    resource: str | None = None
    actor: str | None = None
    actor_id: str | None = None
    tenant_id: str | None = None
    request_id: str | None = None
    correlation_id: str | None = None
    exported: str | None = None
    since: str | None = None
    until: str | None = None

    def filter(self) -> AccessFilter:
        """
        Raises:
            Invalid: naming the parameter.
        """
        if self.exported and self.exported not in YES_NO:
            raise Invalid.field("exported", "must be true or false")
        return AccessFilter(
            action=text_of("action", self.action),
            resource=text_of("resource", self.resource),
            actor=text_of("actor", self.actor),
            actor_id=uuid_of("actorId", self.actor_id),
            tenant_id=uuid_of("tenantId", self.tenant_id),
            request_id=text_of("requestId", self.request_id),
            correlation_id=uuid_of("correlationId", self.correlation_id),
            exported=YES_NO[self.exported] if self.exported else None,
            since=moment("from", self.since),
            until=moment("to", self.until, end=True),
        )
