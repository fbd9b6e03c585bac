"""Seeing a tenant as one of its members does: begun at the member, ended by the banner; and who did."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect, Template

from app.core.listing import asked_of, filled
from app.core.paging import Pager
from app.core.policy import SIGNED_IN
from app.core.templating import MEMBERS, PREFIX, gone_to, home_of, render
from app.modules.impersonation.permissions import READ, START
from app.modules.impersonation.schemas import StartForm
from app.modules.impersonation.service import SORTS, ImpersonationService
from app.modules.tenants.service import TenantService

AnyRequest = Request[Any, Any, Any]


class ImpersonationPages(Controller):
    """Who of the platform saw the tenant that the reader belongs to, and why."""

    path = "/impersonations"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        impersonations: NamedDependency[ImpersonationService],
        tenants: NamedDependency[TenantService],
        pager: NamedDependency[Pager],
        holder: NamedDependency[UUID],
    ) -> Template:
        home = home_of(request)
        params, place = asked_of(request.query_params, ("q", "sort"))
        page, cursor = await filled(
            lambda at: impersonations.search(pager, holder, text=params.get("q"), cursor=at), place
        )
        context = {
            "tenant_id": holder,
            "tenant": await tenants.called(holder),
            "home": home,
            "path": f"{home}/impersonations",
            "page": page,
            "cursor": cursor,
            "params": params,
        }
        return render(request, "impersonation/index.html", context, fragment="impersonation/_list.html")


class TenantImpersonationPages(ImpersonationPages):
    """The same of any tenant, for the owner."""

    path = "/tenants/{tenant_id:uuid}/impersonations"


class StartPages(Controller):
    path = "/tenants/{tenant_id:uuid}/members/{member_id:uuid}/impersonation"

    @post("/", permission=START, audit="impersonation.start", status_code=200)
    async def start(
        self,
        impersonations: NamedDependency[ImpersonationService],
        tenant_id: FromPath[UUID],
        member_id: FromPath[UUID],
        data: URLEncodedBody[StartForm],
    ) -> Response[bytes]:
        slug = await impersonations.start(tenant_id, member_id, data.reason)
        return gone_to(f"{MEMBERS}/{slug}")


class EndPages(Controller):
    path = "/impersonation/end"

    @post("/", permission=SIGNED_IN, audit="impersonation.end", while_impersonating=True)
    async def end(self, impersonations: NamedDependency[ImpersonationService]) -> Redirect:
        return Redirect(f"{PREFIX}/tenants/{await impersonations.end()}/members", status_code=303)
