"""`/api/owner/tenants/{id}/roles`."""

from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from app.core.etag import IfMatch, etag, versions
from app.core.paging import Pager
from app.modules.roles.models import Role
from app.modules.roles.permissions import READ, WRITE
from app.modules.roles.schemas import RoleChange, RoleCreate, RolePage, RoleRead, read
from app.modules.roles.service import SORTS, RoleService


class RoleController(Controller):
    path = "/tenants/{tenant_id:uuid}/roles"

    @get("/", permission=READ, sorts=SORTS)
    async def search(
        self,
        roles: NamedDependency[RoleService],
        pager: NamedDependency[Pager],
        tenant_id: FromPath[UUID],
        q: FromQuery[str | None] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> RolePage:
        """List a tenant's roles, newest first or as `sort` says, with what each may do."""
        page = await roles.search(pager, tenant_id, text=q, limit=limit, cursor=cursor)
        rights = await roles.rights(page.items)
        items = [read(row, sorted(rights[row.id])) for row in page.items]
        return RolePage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @post("/", permission=WRITE, audit="role.create")
    async def create(
        self, roles: NamedDependency[RoleService], tenant_id: FromPath[UUID], data: JSONBody[RoleCreate]
    ) -> Response[RoleRead]:
        """Make a role of a tenant's own."""
        role = await roles.create(tenant_id, data.name, data.about, data.permissions)
        where = {"Location": f"/api/owner/tenants/{tenant_id}/roles/{role.id}"}
        return await _answer(roles, role, 201, where)

    @get("/{role_id:uuid}", permission=READ)
    async def show(
        self, roles: NamedDependency[RoleService], tenant_id: FromPath[UUID], role_id: FromPath[UUID]
    ) -> Response[RoleRead]:
        """Read one role."""
        return await _answer(roles, await roles.get(tenant_id, role_id))

    @patch("/{role_id:uuid}", permission=WRITE, audit="role.update")
    async def update(
        self,
        roles: NamedDependency[RoleService],
        tenant_id: FromPath[UUID],
        role_id: FromPath[UUID],
        data: JSONBody[RoleChange],
        if_match: IfMatch = None,
    ) -> Response[RoleRead]:
        """Rename a role, or change what it may do, for everybody who has it. Built-in ones stay: 409."""
        return await _answer(roles, await roles.update(tenant_id, role_id, data, expected=versions(if_match)))

    @delete("/{role_id:uuid}", permission=WRITE, audit="role.delete")
    async def delete(
        self, roles: NamedDependency[RoleService], tenant_id: FromPath[UUID], role_id: FromPath[UUID]
    ) -> None:
        """Delete a role that nobody has."""
        await roles.delete(tenant_id, role_id)


async def _answer(
    roles: RoleService, role: Role, status: int = 200, headers: dict[str, str] | None = None
) -> Response[RoleRead]:
    rights = (await roles.rights([role]))[role.id]
    return Response(read(role, sorted(rights)), status_code=status, headers=etag(role.version) | (headers or {}))
