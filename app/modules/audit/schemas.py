"""Audit rows on the wire."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice, zip_longest
from typing import Any
from uuid import UUID

from msgspec import Struct, convert

from app.core.access import Access
from app.core.errors import Invalid
from app.core.moments import moment
from app.core.queries import text_of, uuid_of, wire_name
from app.core.wire import Outgoing, Sensitive
from app.modules.audit.models import AuditLog

SHOWN = ("before", "after", "ip", "user_agent")
LIST_SEEN = Access("owner.read.audit", "audit", fields=SHOWN)
ENTRY_SEEN = Access("owner.read.audit", "audit", of="entry_id", fields=SHOWN)
ABSENT: Any = object()
OUTCOMES = ("success", "invalid", "denied", "failed")


class AuditFilter(Struct, frozen=True, kw_only=True):
    """Which rows are wanted; None wants all. Times are half open: `since` is in, `until` is not."""

    action: str | None = None
    """An action, or the start of several: `owner.tenant` finds `owner.tenant.create` too."""
    resource: str | None = None
    """A type, `article`, or one thing, `article:ID`."""
    actor: str | None = None
    """The start of an e-mail address or of a token's name, whatever the case."""
    actor_id: UUID | None = None
    tenant_id: UUID | None = None
    outcome: str | None = None
    request_id: str | None = None
    correlation_id: UUID | None = None
    text: str | None = None
    """The start of a thing's label, whatever the case; or an id: of a thing, of who acted, of what caused it."""
    since: datetime | None = None
    until: datetime | None = None


class AuditRead(Sensitive):
    """One action. `before` and `after` hold the changed fields alone, with secrets hidden."""

    id: UUID
    tenant_id: UUID
    created_at: datetime
    action: str
    outcome: str
    status: int | None
    actor_kind: str
    actor_id: UUID | None
    actor_label: str
    impersonator_id: UUID | None
    token_id: UUID | None
    resource_type: str | None
    resource_id: str | None
    resource_label: str | None
    changed_fields: list[str]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    request_id: str | None
    correlation_id: UUID | None
    ip: str | None
    user_agent: str | None
    path: str | None


class AuditPage(Outgoing):
    """A page of actions, newest first."""

    items: Sequence[AuditRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: AuditLog) -> AuditRead:
    return convert(row, AuditRead, from_attributes=True)


class AuditQuery(Struct, frozen=True, kw_only=True, rename=wire_name):
    """The filters as the address has them. An empty one is none, as browsers send it."""

    action: str | None = None
    resource: str | None = None
    actor: str | None = None
    actor_id: str | None = None
    tenant_id: str | None = None
    outcome: str | None = None
    request_id: str | None = None
    correlation_id: str | None = None
    q: str | None = None
    since: str | None = None
    until: str | None = None

    def filter(self) -> AuditFilter:
        """
        Raises:
            Invalid: naming the parameter.
        """
        if self.outcome and self.outcome not in OUTCOMES:
            raise Invalid.field("outcome", f"must be one of {', '.join(OUTCOMES)}")
        return AuditFilter(
            action=text_of("action", self.action),
            resource=text_of("resource", self.resource),
            actor=text_of("actor", self.actor),
            actor_id=uuid_of("actorId", self.actor_id),
            tenant_id=uuid_of("tenantId", self.tenant_id),
            outcome=self.outcome or None,
            request_id=text_of("requestId", self.request_id),
            correlation_id=uuid_of("correlationId", self.correlation_id),
            text=text_of("q", self.q),
            since=moment("from", self.since),
            until=moment("to", self.until, end=True),
        )


class Change(Outgoing):
    """One value that differs: its path in the entry, `settings.limits[0]`, and what it was and is.

    `kind` is added, removed or changed; on the side that has none, the value is null.
    """

    path: str
    kind: str
    before: Any
    after: Any


def changes(before: dict[str, Any] | None, after: dict[str, Any] | None, most: int = 200) -> list[Change]:
    """The values that differ between two states of a thing, at any depth, in the order of their paths."""
    return [*islice(_differing("", before or {}, after or {}), most)]


def _differing(path: str, old: Any, new: Any) -> Iterator[Change]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        dot = f"{path}." if path else ""
        for name in sorted(old.keys() | new.keys()):
            yield from _differing(f"{dot}{name}", old.get(name, ABSENT), new.get(name, ABSENT))
    elif isinstance(old, list) and isinstance(new, list):
        for n, (one, two) in enumerate(zip_longest(old, new, fillvalue=ABSENT)):
            yield from _differing(f"{path}[{n}]", one, two)
    else:
        kind = "added" if old is ABSENT else "removed" if new is ABSENT else "changed"
        yield Change(path=path, kind=kind, before=None if old is ABSENT else old, after=None if new is ABSENT else new)
