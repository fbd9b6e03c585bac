"""Audit rows on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Raw, Struct, convert

from app.core.errors import Invalid
from app.core.moments import moment
from app.core.wire import Outgoing
from app.modules.audit.models import AuditLog
from app.redis.cached import Cached

AUDIT_ANSWERS = Cached("owner", "audit", "answers", Raw, 15, ("audit",), "The audit log, over the API.")
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
    since: datetime | None = None
    until: datetime | None = None


class AuditRead(Outgoing):
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


class AuditQuery(Struct, frozen=True, kw_only=True):
    """The filters as the address has them. An empty one is none, as browsers send it."""

    action: str | None
    resource: str | None
    actor: str | None
    actor_id: str | None
    tenant_id: str | None
    outcome: str | None
    since: str | None
    until: str | None

    def filter(self) -> AuditFilter:
        """
        Raises:
            Invalid: naming the parameter.
        """
        if self.outcome and self.outcome not in OUTCOMES:
            raise Invalid.field("outcome", f"must be one of {', '.join(OUTCOMES)}")
        return AuditFilter(
            action=_text("action", self.action),
            resource=_text("resource", self.resource),
            actor=_text("actor", self.actor),
            actor_id=_id("actorId", self.actor_id),
            tenant_id=_id("tenantId", self.tenant_id),
            outcome=self.outcome or None,
            since=moment("from", self.since),
            until=moment("to", self.until, end=True),
        )


def _text(field: str, value: str | None) -> str | None:
    if value and (len(value) > 200 or not value.isprintable()):
        raise Invalid.field(field, "must have at most 200 printable characters")
    return (value or "").strip() or None


def _id(field: str, value: str | None) -> UUID | None:
    try:
        return UUID(value) if value else None
    except ValueError:
        raise Invalid.field(field, "must be a UUID") from None
