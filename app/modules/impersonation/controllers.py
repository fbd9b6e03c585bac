"""`/api/owner/tenants/{id}/impersonations`."""

from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from app.core.paging import Pager
from app.modules.impersonation.permissions import READ
from app.modules.impersonation.schemas import ImpersonationPage, read
from app.modules.impersonation.service import SORTS, ImpersonationService


class ImpersonationController(Controller):
    path = "/tenants/{tenant_id:uuid}/impersonations"

    @get("/", permission=READ, sorts=SORTS)
    async def search(
        self,
        impersonations: NamedDependency[ImpersonationService],
        pager: NamedDependency[Pager],
        tenant_id: FromPath[UUID],
        q: FromQuery[str | None] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> ImpersonationPage:
        """List who of the platform saw a tenant as one of its members, and why, newest first.

        `q` is looked for in who looked and why.
        """
        found = await impersonations.search(pager, tenant_id, text=q, limit=limit, cursor=cursor)
        page = found.map(read)
        return ImpersonationPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)
