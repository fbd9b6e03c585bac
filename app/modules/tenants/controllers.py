"""`/api/owner/tenants`, with their workspaces and quotas."""

from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from app.core.etag import IfMatch, etag, versions
from app.core.paging import Pager
from app.modules.tenants.models import Tenant
from app.modules.tenants.permissions import READ, WRITE
from app.modules.tenants.schemas import (
    Deletion,
    QuotaChange,
    QuotaList,
    Resumptions,
    Status,
    Suspensions,
    TenantChange,
    TenantCreate,
    TenantPage,
    TenantRead,
    TenantsChanged,
    WorkspaceChange,
    WorkspaceCreate,
    WorkspacePage,
    WorkspaceRead,
    read,
    read_workspace,
)
from app.modules.tenants.service import SORTS, WORKSPACE_SORTS, QuotaService, TenantService


class TenantController(Controller):
    path = "/tenants"

    @get("/", permission=READ, sorts=SORTS)
    async def search(
        self,
        tenants: NamedDependency[TenantService],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        status: FromQuery[Status | None] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> TenantPage:
        """List tenants. `q` is looked for in name and slug."""
        page = (await tenants.search(pager, text=q, status=status, limit=limit, cursor=cursor)).map(read)
        return TenantPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @post("/", permission=WRITE, audit="owner.tenant.create")
    async def create(
        self, tenants: NamedDependency[TenantService], data: JSONBody[TenantCreate]
    ) -> Response[TenantRead]:
        """Make a tenant with a first workspace."""
        tenant = await tenants.create(data.name)
        return _answer(tenant, status=201, headers={"Location": f"/api/owner/tenants/{tenant.id}"})

    @get("/{tenant_id:uuid}", permission=READ)
    async def show(self, tenants: NamedDependency[TenantService], tenant_id: FromPath[UUID]) -> Response[TenantRead]:
        """Read one tenant."""
        return _answer(await tenants.get(tenant_id))

    @patch("/{tenant_id:uuid}", permission=WRITE, audit="owner.tenant.update")
    async def update(
        self,
        tenants: NamedDependency[TenantService],
        tenant_id: FromPath[UUID],
        data: JSONBody[TenantChange],
        if_match: IfMatch = None,
    ) -> Response[TenantRead]:
        """Rename, suspend or reactivate a tenant."""
        return _answer(await tenants.update(tenant_id, data, expected=versions(if_match)))

    @post("/suspensions", permission=WRITE, audit="owner.tenant.update", status_code=200)
    async def suspend_many(
        self, tenants: NamedDependency[TenantService], data: JSONBody[Suspensions]
    ) -> TenantsChanged:
        """Refuse the members and programs of several tenants, of all or of none, and send nothing for them."""
        return TenantsChanged(changed=await tenants.suspend_many(data.ids, data.reason))

    @post("/resumptions", permission=WRITE, audit="owner.tenant.update", status_code=200)
    async def resume_many(self, tenants: NamedDependency[TenantService], data: JSONBody[Resumptions]) -> TenantsChanged:
        """Let several suspended tenants go on, all or none."""
        return TenantsChanged(changed=await tenants.resume_many(data.ids))

    @post("/{tenant_id:uuid}/deletion", permission=WRITE, audit="owner.tenant.delete", status_code=200)
    async def erase(
        self,
        tenants: NamedDependency[TenantService],
        tenant_id: FromPath[UUID],
        data: JSONBody[Deletion],
        if_match: IfMatch = None,
    ) -> Response[TenantRead]:
        """Shut a tenant's doors now, and erase all that is its in seven days, unless that is taken back."""
        return _answer(await tenants.delete(tenant_id, reason=data.reason, expected=versions(if_match)))

    @delete("/{tenant_id:uuid}/deletion", permission=WRITE, audit="owner.tenant.undelete", status_code=200)
    async def undelete(
        self, tenants: NamedDependency[TenantService], tenant_id: FromPath[UUID]
    ) -> Response[TenantRead]:
        """Take a tenant's deletion back, while its seven days last."""
        return _answer(await tenants.undelete(tenant_id))


class WorkspaceController(Controller):
    path = "/tenants/{tenant_id:uuid}/workspaces"

    @get("/", permission=READ, sorts=WORKSPACE_SORTS)
    async def search(
        self,
        tenants: NamedDependency[TenantService],
        pager: NamedDependency[Pager],
        tenant_id: FromPath[UUID],
        q: FromQuery[str | None] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> WorkspacePage:
        """List a tenant's workspaces, newest first or as `sort` says. `q` is looked for in name and slug."""
        found = await tenants.workspaces(pager, tenant_id, text=q, limit=limit, cursor=cursor)
        page = found.map(read_workspace)
        return WorkspacePage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{workspace_id:uuid}", permission=READ)
    async def show(
        self, tenants: NamedDependency[TenantService], tenant_id: FromPath[UUID], workspace_id: FromPath[UUID]
    ) -> Response[WorkspaceRead]:
        """Read one workspace."""
        workspace = await tenants.workspace(tenant_id, workspace_id)
        return Response(read_workspace(workspace), headers=etag(workspace.version))

    @post("/", permission=WRITE, audit="owner.workspace.create")
    async def create(
        self, tenants: NamedDependency[TenantService], tenant_id: FromPath[UUID], data: JSONBody[WorkspaceCreate]
    ) -> Response[WorkspaceRead]:
        """Make a workspace in a tenant."""
        workspace = await tenants.create_workspace(tenant_id, data.name)
        where = f"/api/owner/tenants/{tenant_id}/workspaces/{workspace.id}"
        headers = etag(workspace.version) | {"Location": where}
        return Response(read_workspace(workspace), status_code=201, headers=headers)

    @patch("/{workspace_id:uuid}", permission=WRITE, audit="owner.workspace.update")
    async def update(
        self,
        tenants: NamedDependency[TenantService],
        tenant_id: FromPath[UUID],
        workspace_id: FromPath[UUID],
        data: JSONBody[WorkspaceChange],
        if_match: IfMatch = None,
    ) -> Response[WorkspaceRead]:
        """Give a workspace another name."""
        expected = versions(if_match)
        workspace = await tenants.update_workspace(tenant_id, workspace_id, data.name, expected=expected)
        return Response(read_workspace(workspace), headers=etag(workspace.version))

    @delete("/{workspace_id:uuid}", permission=WRITE, audit="owner.workspace.delete")
    async def remove(
        self, tenants: NamedDependency[TenantService], tenant_id: FromPath[UUID], workspace_id: FromPath[UUID]
    ) -> None:
        """Delete a workspace in which nothing is left. A tenant's last one stays."""
        await tenants.delete_workspace(tenant_id, workspace_id)


class QuotaController(Controller):
    path = "/tenants/{tenant_id:uuid}/quotas"

    @get("/", permission=READ)
    async def all(self, quota_service: NamedDependency[QuotaService], tenant_id: FromPath[UUID]) -> QuotaList:
        """List what a tenant may use at most, with what it uses."""
        return QuotaList(items=await quota_service.all(tenant_id))

    @patch("/", permission=WRITE, audit="owner.quota.update")
    async def change(
        self, quota_service: NamedDependency[QuotaService], tenant_id: FromPath[UUID], data: JSONBody[QuotaChange]
    ) -> QuotaList:
        """Set what a tenant may use at most, or take a quota away with null. Others stay as they are."""
        return QuotaList(items=await quota_service.change(tenant_id, data.quotas))


def _answer(tenant: Tenant, *, status: int = 200, headers: dict[str, str] | None = None) -> Response[TenantRead]:
    return Response(read(tenant), status_code=status, headers=etag(tenant.version) | (headers or {}))
