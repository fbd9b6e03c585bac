"""`/api/owner/tenants/{id}/impersonations`."""

from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from app.core.paging import Pager
from app.modules.impersonation.permissions import READ
from app.modules.impersonation.schemas import ImpersonationPage, read
from app.modules.impersonation.service import ImpersonationService


class ImpersonationController(Controller):
    path = "/tenants/{tenant_id:uuid}/impersonations"

    @get("/", permission=READ)
    async def search(
        self,
        impersonations: NamedDependency[ImpersonationService],
        pager: NamedDependency[Pager],
        tenant_id: FromPath[UUID],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> ImpersonationPage:
        """List who of the platform saw a tenant as one of its members, and why, newest first."""
        page = (await impersonations.search(pager, tenant_id, limit=limit, cursor=cursor)).map(read)
        return ImpersonationPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)
