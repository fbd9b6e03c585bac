"""`/api/owner/tenants`."""

from typing import Literal
from uuid import UUID

from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from app.core.etag import IfMatch, etag, versions
from app.core.paging import Pager
from app.modules.tenants.models import Tenant
from app.modules.tenants.permissions import READ, WRITE
from app.modules.tenants.schemas import (
    TenantChange,
    TenantCreate,
    TenantPage,
    TenantRead,
    WorkspaceCreate,
    WorkspacePage,
    WorkspaceRead,
    read,
    read_workspace,
)
from app.modules.tenants.service import TenantService


class TenantController(Controller):
    path = "/tenants"

    @get("/", permission=READ)
    async def search(
        self,
        tenants: NamedDependency[TenantService],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        status: FromQuery[Literal["active", "suspended"] | None] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> TenantPage:
        """List tenants, newest first. `q` is looked for in name and slug."""
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

    @get("/{tenant_id:uuid}/workspaces", permission=READ)
    async def workspaces(
        self,
        tenants: NamedDependency[TenantService],
        pager: NamedDependency[Pager],
        tenant_id: FromPath[UUID],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> WorkspacePage:
        """List a tenant's workspaces, newest first."""
        page = (await tenants.workspaces(pager, tenant_id, limit=limit, cursor=cursor)).map(read_workspace)
        return WorkspacePage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{tenant_id:uuid}/workspaces/{workspace_id:uuid}", permission=READ)
    async def show_workspace(
        self, tenants: NamedDependency[TenantService], tenant_id: FromPath[UUID], workspace_id: FromPath[UUID]
    ) -> Response[WorkspaceRead]:
        """Read one workspace."""
        workspace = await tenants.workspace(tenant_id, workspace_id)
        return Response(read_workspace(workspace), headers=etag(workspace.version))

    @post("/{tenant_id:uuid}/workspaces", permission=WRITE, audit="owner.workspace.create")
    async def create_workspace(
        self, tenants: NamedDependency[TenantService], tenant_id: FromPath[UUID], data: JSONBody[WorkspaceCreate]
    ) -> Response[WorkspaceRead]:
        """Make a workspace in a tenant."""
        workspace = await tenants.create_workspace(tenant_id, data.name)
        where = f"/api/owner/tenants/{tenant_id}/workspaces/{workspace.id}"
        headers = etag(workspace.version) | {"Location": where}
        return Response(read_workspace(workspace), status_code=201, headers=headers)


def _answer(tenant: Tenant, *, status: int = 200, headers: dict[str, str] | None = None) -> Response[TenantRead]:
    return Response(read(tenant), status_code=status, headers=etag(tenant.version) | (headers or {}))
