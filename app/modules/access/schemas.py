"""Reads on the wire."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Raw, convert

from app.core.errors import Invalid
from app.core.trails import TrailFilter, TrailQuery
from app.core.wire import Outgoing
from app.modules.access.models import DataAccessLog
from app.redis.cached import Cached

ACCESS_ANSWERS = Cached("owner", "access", "answers", Raw, 15, ("access",), "The access log, over the API.")
YES_NO = {"true": True, "false": False}


class AccessFilter(TrailFilter, frozen=True, kw_only=True):
    """Which rows are wanted; None wants all."""

    exported: bool | None = None


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


class AccessQuery(TrailQuery, frozen=True, kw_only=True):
    """The filters as the address has them."""

    exported: str | None = None

    def filter(self) -> AccessFilter:
        """
        Raises:
            Invalid: naming the parameter.
        """
        if self.exported and self.exported not in YES_NO:
            raise Invalid.field("exported", "must be true or false")
        return AccessFilter(exported=YES_NO[self.exported] if self.exported else None, **self.values())
