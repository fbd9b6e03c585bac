"""`/dashboard/owner/tenants`: the tenants, and the parts of each."""

from typing import Any, get_args
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template

from app.core.errors import Invalid
from app.core.listing import Asked, asked_of, filled, kept
from app.core.paging import Pager
from app.core.queries import one_of, uuids_of
from app.core.templating import PREFIX, gone_to, home_of, render, told
from app.core.wire import Ticked
from app.modules.tenants.permissions import OWN, READ, WRITE
from app.modules.tenants.schemas import NameForm, ReasonForm, Status, SuspensionsForm, TenantForm, WorkspaceForm
from app.modules.tenants.service import SORTS, WORKSPACE_SORTS, QuotaService, TenantService

PATH = f"{PREFIX}/tenants"
AnyRequest = Request[Any, Any, Any]
STATUSES = [(status, status.capitalize()) for status in get_args(Status)]


class Views:
    """What these pages show: each a whole page, or for HTMX the fragment that an act or a signal changed."""

    def __init__(self, request: AnyRequest, tenants: TenantService, quotas: QuotaService, pager: Pager) -> None:
        self._request = request
        self.tenants = tenants
        self.quotas = quotas
        self._pager = pager

    async def index(self, message: str | None = None) -> Template:
        """The list that the address asks for; after an act, with a message, the list as the page has it."""
        wanted, place = self._asked(PATH, message, "q", "status", "sort")
        status = one_of("status", wanted.get("status"), Status)
        pager, text = self._pager.by(wanted.get("sort")), wanted.get("q")
        page, cursor = await filled(lambda at: self.tenants.search(pager, text=text, status=status, cursor=at), place)
        context = {"page": page, "cursor": cursor, "params": wanted, "statuses": STATUSES}
        return told(render(self._request, "tenants/index.html", context, fragment="tenants/_list.html"), message)

    async def tenant(self, tenant_id: UUID, fragment: str, message: str | None = None) -> Template:
        context = {
            "tenant": await self.tenants.get(tenant_id),
            "quotas": await self.quotas.all(tenant_id),
            "workspaces": await self.tenants.workspaces(self._pager, tenant_id),
        }
        return told(render(self._request, "tenants/detail.html", context, fragment=f"tenants/{fragment}.html"), message)

    async def workspaces(self, tenant_id: UUID, message: str | None = None) -> Template:
        """The list that the address asks for; after an act, with a message, the list as the page has it."""
        params, cursor = self._asked(f"{PATH}/{tenant_id}/workspaces", message, "q", "sort")
        context = {
            "tenant": await self.tenants.get(tenant_id),
            **await self._workspaces(tenant_id, params, cursor),
        }
        page = render(self._request, "tenants/workspaces.html", context, fragment="tenants/_workspaces.html")
        return told(page, message)

    async def own(self, tenant_id: UUID) -> Template:
        """A tenant as its members see it."""
        context = {
            "tenant": await self.tenants.called(tenant_id),
            "quotas": await self.quotas.all(tenant_id),
            **await self._workspaces(tenant_id, *asked_of(self._request.query_params, ("q", "sort"))),
        }
        return render(self._request, "tenants/own.html", context, fragment="tenants/_own.html")

    async def workspace(self, tenant_id: UUID, workspace_id: UUID) -> Template:
        """As the platform or as a member sees it: the address says which."""
        context = {
            "tenant": await self.tenants.called(tenant_id),
            "home": home_of(self._request),
            "workspace": await self.tenants.workspace(tenant_id, workspace_id),
        }
        return render(self._request, "tenants/workspace.html", context, fragment="tenants/_workspace_drawer.html")

    async def _workspaces(self, tenant_id: UUID, params: dict[str, str], cursor: str | None) -> dict[str, Any]:
        pager, text = self._pager.by(params.get("sort")), params.get("q")
        found, cursor = await filled(lambda at: self.tenants.workspaces(pager, tenant_id, text=text, cursor=at), cursor)
        return {"workspaces": found, "params": params, "cursor": cursor}

    def _asked(self, path: str, message: str | None, *names: str) -> Asked:
        return asked_of(self._request.query_params, names) if message is None else kept(self._request, path, names)


def provide_views(
    request: AnyRequest,
    tenants: NamedDependency[TenantService],
    quota_service: NamedDependency[QuotaService],
    pager: NamedDependency[Pager],
) -> Views:
    return Views(request, tenants, quota_service, pager)


class TenantPages(Controller):
    path = "/tenants"

    @get("/", permission=READ, sorts=SORTS)
    async def index(self, views: NamedDependency[Views]) -> Template:
        return await views.index()

    @post("/", permission=WRITE, audit="owner.tenant.create", status_code=200)
    async def create(self, tenants: NamedDependency[TenantService], data: URLEncodedBody[NameForm]) -> Response[bytes]:
        tenant = await tenants.create(data.name)
        return gone_to(f"{PATH}/{tenant.id}")

    @get("/{tenant_id:uuid}", permission=READ)
    async def show(
        self, views: NamedDependency[Views], tenant_id: FromPath[UUID], part: FromQuery[bool] = False
    ) -> Template:
        return await views.tenant(tenant_id, "_tenant" if part else "_drawer")

    @post("/{tenant_id:uuid}", permission=WRITE, audit="owner.tenant.update", status_code=200)
    async def update(
        self, tenants: NamedDependency[TenantService], tenant_id: FromPath[UUID], data: URLEncodedBody[TenantForm]
    ) -> Response[bytes]:
        expected = None if data.version is None else {data.version}
        await tenants.update(tenant_id, data.change(), expected=expected)
        return gone_to(f"{PATH}/{tenant_id}")

    @post("/suspensions", permission=WRITE, audit="owner.tenant.update", status_code=200)
    async def suspend_many(self, views: NamedDependency[Views], data: URLEncodedBody[SuspensionsForm]) -> Template:
        done = await views.tenants.suspend_many(uuids_of("ids", data.ids), data.reason)
        return await views.index(f"Suspended now: {done}.")

    @post("/resumptions", permission=WRITE, audit="owner.tenant.update", status_code=200)
    async def resume_many(self, views: NamedDependency[Views], data: URLEncodedBody[Ticked]) -> Template:
        done = await views.tenants.resume_many(uuids_of("ids", data.ids))
        return await views.index(f"Go on: {done}.")

    @post("/{tenant_id:uuid}/deletion", permission=WRITE, audit="owner.tenant.delete", status_code=200)
    async def delete(
        self, tenants: NamedDependency[TenantService], tenant_id: FromPath[UUID], data: URLEncodedBody[ReasonForm]
    ) -> Response[bytes]:
        await tenants.delete(tenant_id, reason=data.reason)
        return gone_to(f"{PATH}/{tenant_id}")

    @post("/{tenant_id:uuid}/restoration", permission=WRITE, audit="owner.tenant.undelete", status_code=200)
    async def undelete(self, tenants: NamedDependency[TenantService], tenant_id: FromPath[UUID]) -> Response[bytes]:
        await tenants.undelete(tenant_id)
        return gone_to(f"{PATH}/{tenant_id}")

    @post("/{tenant_id:uuid}/quotas", permission=WRITE, audit="owner.quota.update", status_code=200)
    async def change_quotas(
        self, request: AnyRequest, views: NamedDependency[Views], tenant_id: FromPath[UUID]
    ) -> Template:
        form = {name: value for name, value in (await request.form()).items() if name != "_csrf_token"}
        await views.quotas.change(tenant_id, {name: _most(name, str(value)) for name, value in form.items()})
        return await views.tenant(tenant_id, "_tenant", "The quotas are changed.")


class WorkspacePages(Controller):
    path = "/tenants/{tenant_id:uuid}/workspaces"

    @get("/", permission=READ, sorts=WORKSPACE_SORTS)
    async def index(self, views: NamedDependency[Views], tenant_id: FromPath[UUID]) -> Template:
        return await views.workspaces(tenant_id)

    @get("/{workspace_id:uuid}", permission=READ)
    async def show(
        self, views: NamedDependency[Views], tenant_id: FromPath[UUID], workspace_id: FromPath[UUID]
    ) -> Template:
        return await views.workspace(tenant_id, workspace_id)

    @post("/", permission=WRITE, audit="owner.workspace.create", status_code=200)
    async def create(
        self, views: NamedDependency[Views], tenant_id: FromPath[UUID], data: URLEncodedBody[NameForm]
    ) -> Template:
        workspace = await views.tenants.create_workspace(tenant_id, data.name)
        return await views.workspaces(tenant_id, f"The workspace {workspace.name} was made.")

    @post("/{workspace_id:uuid}", permission=WRITE, audit="owner.workspace.update", status_code=200)
    async def update(
        self,
        views: NamedDependency[Views],
        tenant_id: FromPath[UUID],
        workspace_id: FromPath[UUID],
        data: URLEncodedBody[WorkspaceForm],
    ) -> Template:
        expected = None if data.version is None else {data.version}
        workspace = await views.tenants.update_workspace(tenant_id, workspace_id, data.name, expected=expected)
        return told(await views.workspace(tenant_id, workspace_id), f"The workspace is called {workspace.name} now.")

    @post("/{workspace_id:uuid}/removal", permission=WRITE, audit="owner.workspace.delete", status_code=200)
    async def remove(
        self, views: NamedDependency[Views], tenant_id: FromPath[UUID], workspace_id: FromPath[UUID]
    ) -> Template:
        await views.tenants.delete_workspace(tenant_id, workspace_id)
        return await views.workspaces(tenant_id, "The workspace is deleted.")


class OwnPages(Controller):
    """The workspaces of the tenant that the reader belongs to, and what it may use."""

    path = "/workspaces"

    @get("/", permission=OWN, sorts=WORKSPACE_SORTS)
    async def show(self, views: NamedDependency[Views], holder: NamedDependency[UUID]) -> Template:
        return await views.own(holder)

    @get("/{workspace_id:uuid}", permission=OWN)
    async def workspace(
        self, views: NamedDependency[Views], holder: NamedDependency[UUID], workspace_id: FromPath[UUID]
    ) -> Template:
        return await views.workspace(holder, workspace_id)


def _most(name: str, value: str) -> int | None:
    try:
        return int(value) if value.strip() else None
    except ValueError:
        raise Invalid.field(name, "must be a whole number, or empty") from None
