"""`/api/owner/logs/access`."""

from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from app.core.paging import Pager
from app.modules.access.permissions import READ
from app.modules.access.schemas import ACCESS_ANSWERS, AccessPage, AccessQuery, AccessRead, read
from app.modules.access.service import SORTS, AccessTrail


class AccessController(Controller):
    path = "/logs/access"

    @get("/", permission=READ, sorts=SORTS, cached=ACCESS_ANSWERS)
    async def search(
        self,
        reads: NamedDependency[AccessTrail],
        asked_reads: NamedDependency[AccessQuery],
        pager: NamedDependency[Pager],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> AccessPage:
        """List who read what, newest first or as `sort` says.

        `from` and `to` take days or moments; `action` also a start.
        """
        found = await reads.search(pager, asked_reads.filter(), limit=limit, cursor=cursor)
        page = found.map(read)
        return AccessPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{entry_id:uuid}", permission=READ)
    async def show(self, reads: NamedDependency[AccessTrail], entry_id: FromPath[UUID]) -> AccessRead:
        """Read one entry of the access log."""
        return read(await reads.get(entry_id))
