"""Finding audit rows."""

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Select, select

from app.core.errors import Invalid
from app.core.ids import floor_id
from app.modules.audit.models import AuditLog

OUTCOMES = ("success", "invalid", "denied", "failed")


class AuditFilter(Struct, frozen=True, kw_only=True):
    """Which rows are wanted; None wants all. Times are half open: `since` is in, `until` is not."""

    action: str | None = None
    """An action, or the start of several: `owner.tenant` finds `owner.tenant.create` too."""
    resource: str | None = None
    """A type, `article`, or one thing, `article:ID`."""
    actor_id: UUID | None = None
    tenant_id: UUID | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def fitting(wanted: AuditFilter) -> Select[tuple[AuditLog]]:
    query = select(AuditLog)
    if wanted.action:
        below = AuditLog.action.startswith(wanted.action.rstrip(".") + ".", autoescape=True)
        query = query.where((AuditLog.action == wanted.action) | below)
    if wanted.resource:
        kind, _, id_ = wanted.resource.partition(":")
        query = query.where(AuditLog.resource_type == kind)
        query = query.where(AuditLog.resource_id == id_) if id_ else query
    for column, value in (
        (AuditLog.actor_id, wanted.actor_id),
        (AuditLog.tenant_id, wanted.tenant_id),
        (AuditLog.outcome, wanted.outcome),
    ):
        query = query.where(column == value) if value is not None else query
    # By id and not by created_at: ids carry the time, and choose the month's partition.
    if wanted.since is not None:
        query = query.where(AuditLog.id >= floor_id(wanted.since))
    if wanted.until is not None:
        query = query.where(AuditLog.id < floor_id(wanted.until))
    return query


def moment(field: str, text: str | None, *, end: bool = False) -> datetime | None:
    """A day or a moment in ISO 8601; without a zone it is UTC. With `end`, a day means the start of the next.

    Raises:
        Invalid: naming `field`.
    """
    if not text:
        return None
    try:
        if len(text) == len("2026-01-31"):
            day = date.fromisoformat(text) + timedelta(days=1 if end else 0)
            found = datetime.combine(day, time(), UTC)
        else:
            found = datetime.fromisoformat(text)
            found = found if found.tzinfo else found.replace(tzinfo=UTC)
        if found.timestamp() < 0:
            raise ValueError(text)
    except (ValueError, OverflowError):
        raise Invalid.field(field, "must be a day (2026-01-31) or a moment (2026-01-31T12:00:00Z)") from None
    return found
