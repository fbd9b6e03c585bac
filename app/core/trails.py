"""What every log of who did what to which thing is asked: the filters that all have, and the rows that fit."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Select, func, select

from app.core.ids import floor_id
from app.core.moments import moment
from app.core.queries import ByAge, one_of, text_of, uuid_of, wire_name


class TrailFilter(Struct, frozen=True, kw_only=True):
    """Which rows are wanted; None wants all. Times are half open: `since` is in, `until` is not."""

    action: str | None = None
    """An action, or the start of several: `owner.tenant` finds `owner.tenant.create` too."""
    resource: str | None = None
    """A type, `article`, or one thing, `article:ID`."""
    actor: str | None = None
    """The start of an e-mail address or of a token's name, whatever the case."""
    actor_id: UUID | None = None
    tenant_id: UUID | None = None
    request_id: str | None = None
    correlation_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


class TrailQuery(Struct, frozen=True, kw_only=True, rename=wire_name):
    """The filters as the address has them. An empty one is none, as browsers send it."""

    action: str | None = None
    resource: str | None = None
    actor: str | None = None
    actor_id: str | None = None
    tenant_id: str | None = None
    request_id: str | None = None
    correlation_id: str | None = None
    since: str | None = None
    until: str | None = None
    sort: str | None = None
    """Of the list; a file of it is newest first."""

    def values(self) -> dict[str, Any]:
        """What a `TrailFilter` holds.

        Raises:
            Invalid: naming the parameter.
        """
        return {
            "action": text_of("action", self.action),
            "resource": text_of("resource", self.resource),
            "actor": text_of("actor", self.actor),
            "actor_id": uuid_of("actorId", self.actor_id),
            "tenant_id": uuid_of("tenantId", self.tenant_id),
            "request_id": text_of("requestId", self.request_id),
            "correlation_id": uuid_of("correlationId", self.correlation_id),
            "since": moment("from", self.since),
            "until": moment("to", self.until, end=True),
        }

    def order(self) -> ByAge:
        """
        Raises:
            Invalid (`sort`).
        """
        found: ByAge = one_of("sort", self.sort, ByAge) or "-createdAt"
        return found


def rows_of(row: Any, wanted: TrailFilter) -> Select[Any]:
    """`row` is the log's model; its columns have the names of the filters."""
    query = select(row)
    if wanted.action:
        below = row.action.startswith(wanted.action.rstrip(".") + ".", autoescape=True)
        query = query.where((row.action == wanted.action) | below)
    if wanted.resource:
        kind, _, id_ = wanted.resource.partition(":")
        query = query.where(row.resource_type == kind)
        query = query.where(row.resource_id == id_) if id_ else query
    if wanted.actor:
        query = query.where(func.lower(row.actor_label).startswith(wanted.actor.lower(), autoescape=True))
    for name in ("actor_id", "tenant_id", "request_id", "correlation_id"):
        value = getattr(wanted, name)
        query = query.where(getattr(row, name) == value) if value is not None else query
    # By id and not by created_at: ids carry the time, and choose the month's partition.
    if wanted.since is not None:
        query = query.where(row.id >= floor_id(wanted.since))
    if wanted.until is not None:
        query = query.where(row.id < floor_id(wanted.until))
    return query
