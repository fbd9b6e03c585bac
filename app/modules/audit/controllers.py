"""`/api/owner/logs/audit`."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Invalid
from app.core.paging import Pager
from app.modules.audit.permissions import READ
from app.modules.audit.repository import OUTCOMES, AuditFilter, moment
from app.modules.audit.schemas import AuditPage, AuditRead, read
from app.modules.audit.service import AuditTrail


def provide_trail(session: NamedDependency[AsyncSession]) -> AuditTrail:
    return AuditTrail(session)


def provide_filter(
    action: FromQuery[str | None] = None,
    resource: FromQuery[str | None] = None,
    actor_id: Annotated[str | None, QueryParameter(name="actorId")] = None,
    tenant_id: Annotated[str | None, QueryParameter(name="tenantId")] = None,
    outcome: FromQuery[str | None] = None,
    since: Annotated[str | None, QueryParameter(name="from")] = None,
    until: Annotated[str | None, QueryParameter(name="to")] = None,
) -> AuditFilter:
    """The filters as the address has them; an empty one is none, as browsers send it.

    Raises:
        Invalid: naming the parameter.
    """
    if outcome and outcome not in OUTCOMES:
        raise Invalid.field("outcome", f"must be one of {', '.join(OUTCOMES)}")
    return AuditFilter(
        action=_text("action", action),
        resource=_text("resource", resource),
        actor_id=_id("actorId", actor_id),
        tenant_id=_id("tenantId", tenant_id),
        outcome=outcome or None,
        since=moment("from", since),
        until=moment("to", until, end=True),
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


class AuditController(Controller):
    path = "/logs/audit"

    @get("/", permission=READ)
    async def search(
        self,
        trail: NamedDependency[AuditTrail],
        wanted: NamedDependency[AuditFilter],
        pager: NamedDependency[Pager],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> AuditPage:
        """Who did what, newest first."""
        page = (await trail.search(pager, wanted, limit=limit, cursor=cursor)).map(read)
        return AuditPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{entry_id:uuid}", permission=READ)
    async def show(self, trail: NamedDependency[AuditTrail], entry_id: FromPath[UUID]) -> AuditRead:
        return read(await trail.get(entry_id))
