"""`/dashboard/owner/tenants`."""

import json
from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template

from app.core.errors import Invalid
from app.core.paging import Pager
from app.core.templating import PREFIX, render
from app.modules.tenants.permissions import READ, WRITE
from app.modules.tenants.schemas import NameForm, TenantForm
from app.modules.tenants.service import TenantService

PATH = f"{PREFIX}/tenants"
AnyRequest = Request[Any, Any, Any]
STATUSES = [("active", "Active"), ("suspended", "Suspended")]


class TenantPages(Controller):
    path = "/tenants"

    @get("/", permission=READ)
    async def index(
        self,
        request: AnyRequest,
        tenants: NamedDependency[TenantService],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        status: FromQuery[str | None] = None,
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        if status and status not in dict(STATUSES):
            raise Invalid.field("status", f"must be one of {', '.join(dict(STATUSES))}")
        context = {
            "page": await tenants.search(pager, text=q, status=status, cursor=cursor),
            "cursor": cursor,
            "params": {name: value for name, value in (("q", q), ("status", status)) if value},
            "statuses": STATUSES,
        }
        return render(request, "tenants/index.html", context, fragment="tenants/_list.html")

    @post("/", permission=WRITE, audit="owner.tenant.create", status_code=200)
    async def create(self, tenants: NamedDependency[TenantService], data: URLEncodedBody[NameForm]) -> Response[bytes]:
        tenant = await tenants.create(data.name)
        return Response(b"", headers={"HX-Redirect": f"{PATH}/{tenant.id}"})

    @get("/{tenant_id:uuid}", permission=READ)
    async def detail(
        self,
        request: AnyRequest,
        tenants: NamedDependency[TenantService],
        pager: NamedDependency[Pager],
        tenant_id: FromPath[UUID],
    ) -> Template:
        context = await self._detail(tenants, pager, tenant_id)
        return render(request, "tenants/detail.html", context, fragment="tenants/_drawer.html")

    @get("/{tenant_id:uuid}/workspaces", permission=READ)
    async def workspaces(
        self,
        request: AnyRequest,
        tenants: NamedDependency[TenantService],
        pager: NamedDependency[Pager],
        tenant_id: FromPath[UUID],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        context = await self._detail(tenants, pager, tenant_id, cursor)
        return render(request, "tenants/detail.html", context, fragment="tenants/_workspaces.html")

    @post("/{tenant_id:uuid}", permission=WRITE, audit="owner.tenant.update", status_code=200)
    async def update(
        self, tenants: NamedDependency[TenantService], tenant_id: FromPath[UUID], data: URLEncodedBody[TenantForm]
    ) -> Response[bytes]:
        expected = None if data.version is None else {data.version}
        await tenants.update(tenant_id, data.change(), expected=expected)
        return Response(b"", headers={"HX-Redirect": f"{PATH}/{tenant_id}"})

    @post("/{tenant_id:uuid}/workspaces", permission=WRITE, audit="owner.workspace.create", status_code=200)
    async def create_workspace(
        self,
        request: AnyRequest,
        tenants: NamedDependency[TenantService],
        pager: NamedDependency[Pager],
        tenant_id: FromPath[UUID],
        data: URLEncodedBody[NameForm],
    ) -> Template:
        workspace = await tenants.create_workspace(tenant_id, data.name)
        context = await self._detail(tenants, pager, tenant_id)
        answer = render(request, "tenants/detail.html", context, fragment="tenants/_workspaces.html")
        message = {"toast": {"message": f"The workspace {workspace.name} was made.", "tone": "ok"}}
        answer.headers["HX-Trigger"] = json.dumps(message)
        return answer

    async def _detail(
        self, tenants: TenantService, pager: Pager, tenant_id: UUID, cursor: str | None = None
    ) -> dict[str, Any]:
        tenant = await tenants.get(tenant_id)
        workspaces = await tenants.workspaces(pager, tenant_id, cursor=cursor)
        return {"tenant": tenant, "workspaces": workspaces, "cursor": cursor, "statuses": STATUSES}
