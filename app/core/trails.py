"""What every log of who did what to which thing is asked: the filters that all have, and the rows that fit."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, func, select

from app.core.moments import moment
from app.core.queries import between, text_of, uuid_of, wire_name

_LAST = "\U0010ffff"


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


def beginning(value: Any, start: str) -> ColumnElement[bool]:
    """Whether a text begins like that, as its index with `text_pattern_ops` has it.

    Not LIKE: PostgreSQL does not trust that with rows that the caller may not see, so under row-level security it is
    planned without statistics, and for tenants without the index.
    """
    found: ColumnElement[bool] = value.bool_op("~>=~")(start) & value.bool_op("~<~")(start + _LAST)
    return found


def rows_of(row: Any, wanted: TrailFilter) -> Select[Any]:
    """`row` is the log's model; its columns have the names of the filters."""
    query = select(row)
    if wanted.action:
        below = beginning(row.action, wanted.action.rstrip(".") + ".")
        query = query.where((row.action == wanted.action) | below)
    if wanted.resource:
        kind, _, id_ = wanted.resource.partition(":")
        query = query.where(row.resource_type == kind)
        query = query.where(row.resource_id == id_) if id_ else query
    if wanted.actor:
        query = query.where(beginning(func.lower(row.actor_label), wanted.actor.lower()))
    for name in ("actor_id", "tenant_id", "request_id", "correlation_id"):
        value = getattr(wanted, name)
        query = query.where(getattr(row, name) == value) if value is not None else query
    return between(query, row.id, wanted.since, wanted.until)
