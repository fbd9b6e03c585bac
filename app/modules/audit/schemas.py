"""Audit rows on the wire."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice, zip_longest
from typing import Any
from uuid import UUID

from msgspec import Raw, convert

from app.core.access import Access
from app.core.digests import Marks
from app.core.errors import Invalid
from app.core.queries import text_of
from app.core.trails import TrailFilter, TrailQuery
from app.core.wire import Outgoing, Sensitive
from app.modules.audit.models import AuditLog
from app.redis.cached import Cached

SHOWN = ("before", "after", "ip", "user_agent")
LIST_SEEN = Access("owner.read.audit", "audit", fields=SHOWN)
LISTED_SEEN = Access("owner.read.audit", "audit", fields=("actor_label", "resource_label"))
ENTRY_SEEN = Access("owner.read.audit", "audit", of="entry_id", fields=SHOWN)
ABSENT: Any = object()
AUDIT_ANSWERS = Cached("owner", "audit", "answers", Raw, 15, ("audit",), "The audit log, over the API.")
PERSONAL = ("actorLabel", "resourceLabel", "reason", "ip", "userAgent", "path")
PUBLIC = (
    *("id", "tenantId", "createdAt", "action", "outcome", "status", "actorKind", "actorId", "impersonatorId"),
    *("tokenId", "resourceType", "resourceId", "changedFields", "requestId", "correlationId"),
)
OUTCOMES = ("success", "invalid", "denied", "failed")


class AuditFilter(TrailFilter, frozen=True, kw_only=True):
    """Which rows are wanted; None wants all."""

    outcome: str | None = None
    text: str | None = None
    """The start of a thing's label, whatever the case; or an id: of a thing, of who acted, of what caused it."""


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


class AuditSealed(AuditRead):
    """The same in an export of NDJSON, with what its sealed digest is made with."""

    seal: Marks


class AuditPage(Outgoing):
    """A page of actions, newest first."""

    items: Sequence[AuditRead]
    next_cursor: str | None
    prev_cursor: str | None


def marks(row: AuditLog) -> Marks:
    if row.erased is not None:
        return convert(row.erased, Marks)
    return Marks(row.salt.hex if row.salt else None)


def sealed(row: AuditLog) -> AuditSealed:
    return AuditSealed(seal=marks(row), **{name: getattr(row, name) for name in AuditRead.__struct_fields__})


def parts(plain: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of a row, as it is on the wire, is sealed as it stands, and what can be erased: `before.name`, `ip`.

    The names are those of version 1 of the seal: a field that the log gets later is not sealed by it.
    """
    personal = {name: plain[name] for name in PERSONAL}
    public = {name: plain[name] for name in PUBLIC}
    for side in ("before", "after"):
        values: dict[str, Any] | None = plain[side]
        public[side] = sorted(values) if values is not None else None
        personal |= {f"{side}.{name}": value for name, value in (values or {}).items()}
    return public, personal


def read(row: AuditLog) -> AuditRead:
    return convert(row, AuditRead, from_attributes=True)


class AuditQuery(TrailQuery, frozen=True, kw_only=True):
    """The filters as the address has them."""

    outcome: str | None = None
    q: str | None = None

    def filter(self) -> AuditFilter:
        """
        Raises:
            Invalid: naming the parameter.
        """
        if self.outcome and self.outcome not in OUTCOMES:
            raise Invalid.field("outcome", f"must be one of {', '.join(OUTCOMES)}")
        return AuditFilter(outcome=self.outcome or None, text=text_of("q", self.q), **self.values())


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
