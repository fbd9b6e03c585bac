"""`/api/owner/logs/audit`."""

from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from app.core.paging import Pager
from app.modules.audit.permissions import READ
from app.modules.audit.schemas import AUDIT_ANSWERS, ENTRY_SEEN, LIST_SEEN, AuditPage, AuditQuery, AuditRead, read
from app.modules.audit.service import SORTS, AuditTrail


class AuditController(Controller):
    path = "/logs/audit"

    @get("/", permission=READ, access=LIST_SEEN, sorts=SORTS, cached=AUDIT_ANSWERS)
    async def search(
        self,
        trail: NamedDependency[AuditTrail],
        asked: NamedDependency[AuditQuery],
        pager: NamedDependency[Pager],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> AuditPage:
        """List who did what, newest first or as `sort` says.

        `from` and `to` take days or moments; `action` also the start of several.
        `q` is the start of a thing's label, or an id: of a thing, of who acted, of the request or what it caused.
        """
        found = await trail.search(pager, asked.filter(), limit=limit, cursor=cursor)
        page = found.map(read)
        return AuditPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{entry_id:uuid}", permission=READ, access=ENTRY_SEEN)
    async def show(self, trail: NamedDependency[AuditTrail], entry_id: FromPath[UUID]) -> AuditRead:
        """Read one entry of the audit log."""
        return read(await trail.get(entry_id))
