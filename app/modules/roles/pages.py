"""Roles in the dashboards: `/roles` of a tenant's members, `/tenants/{id}/roles` of the owner."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Template

from app.core.listing import Asked, asked_of, filled, kept
from app.core.paging import Pager
from app.core.templating import home_of, render, told
from app.modules.roles.permissions import READ, WRITE
from app.modules.roles.schemas import RoleForm
from app.modules.roles.service import SORTS, RoleService
from app.modules.tenants.service import TenantService

AnyRequest = Request[Any, Any, Any]
LISTED = ("q", "sort")


class Views:
    """What this module shows: each a whole page, or for HTMX the fragment that an act changed."""

    def __init__(
        self, request: AnyRequest, holder: UUID, roles: RoleService, tenants: TenantService, pager: Pager
    ) -> None:
        self.holder, self.roles = holder, roles
        self._request, self._tenants, self._pager = request, tenants, pager

    async def index(self, asked: Asked | None = None) -> Template:
        """The list as the address asks for it, or as `asked`."""
        params, place = asked or asked_of(self._request.query_params, LISTED)
        pager, text = self._pager.by(params.get("sort")), params.get("q")
        page, cursor = await filled(lambda at: self.roles.search(pager, self.holder, text=text, cursor=at), place)
        context = await self._common() | {
            "page": page,
            "cursor": cursor,
            "params": params,
            "rights": await self.roles.rights(page.items),
        }
        return render(self._request, "roles/index.html", context, fragment="roles/_list.html")

    async def again(self) -> Template:
        """The list as the reader has it, after an act on it."""
        return await self.index(kept(self._request, f"{home_of(self._request)}/roles", LISTED))

    async def show(self, role_id: UUID, fragment: str) -> Template:
        role = await self.roles.get(self.holder, role_id)
        context = await self._common() | {"role": role, "rights": sorted((await self.roles.rights([role]))[role.id])}
        return render(self._request, "roles/show.html", context, fragment=f"roles/{fragment}.html")

    async def _common(self) -> dict[str, Any]:
        home = home_of(self._request)
        return {
            "tenant_id": self.holder,
            "tenant": await self._tenants.called(self.holder),
            "home": home,
            "path": f"{home}/roles",
            "holders": await self.roles.holders(self.holder),
            "grantable": [(item.name, item.name, item.label) for item in self.roles.grantable()],
        }


class RolePages(Controller):
    """The roles of the tenant that the reader belongs to."""

    path = "/roles"

    @get("/", permission=READ, sorts=SORTS)
    async def index(self, views: NamedDependency[Views]) -> Template:
        return await views.index()

    @post("/", permission=WRITE, audit="role.create", status_code=200)
    async def create(self, views: NamedDependency[Views], data: URLEncodedBody[RoleForm]) -> Template:
        role = await views.roles.create(views.holder, data.name, data.about, data.chosen())
        return told(await views.again(), f"The role {role.name} was made.")

    @get("/{role_id:uuid}", permission=READ)
    async def show(self, views: NamedDependency[Views], role_id: FromPath[UUID]) -> Template:
        return await views.show(role_id, "_drawer")

    @post("/{role_id:uuid}", permission=WRITE, audit="role.update", status_code=200)
    async def update(
        self, views: NamedDependency[Views], role_id: FromPath[UUID], data: URLEncodedBody[RoleForm]
    ) -> Template:
        expected = None if data.version is None else {data.version}
        role = await views.roles.update(views.holder, role_id, data.change(), expected=expected)
        return told(await views.show(role_id, "_body"), f"{role.name} is changed.")

    @post("/{role_id:uuid}/removal", permission=WRITE, audit="role.delete", status_code=200)
    async def delete(self, views: NamedDependency[Views], role_id: FromPath[UUID]) -> Template:
        role = await views.roles.delete(views.holder, role_id)
        return told(await views.again(), f"{role.name} is deleted.")


class TenantRolePages(RolePages):
    """The roles of any tenant, for the owner."""

    path = "/tenants/{tenant_id:uuid}/roles"
