"""Roles in the dashboards: `/roles` of a tenant's members, `/tenants/{id}/roles` of the owner."""

import json
from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template

from app.core.paging import Pager
from app.core.templating import home_of, render
from app.modules.roles.permissions import READ, WRITE
from app.modules.roles.schemas import RoleForm
from app.modules.roles.service import RoleService
from app.modules.tenants.service import TenantService

AnyRequest = Request[Any, Any, Any]


class RolePages(Controller):
    """The roles of the tenant that the reader belongs to."""

    path = "/roles"

    @get("/", permission=READ)
    async def index(
        self,
        request: AnyRequest,
        roles: NamedDependency[RoleService],
        tenants: NamedDependency[TenantService],
        pager: NamedDependency[Pager],
        holder: NamedDependency[UUID],
        q: FromQuery[str | None] = None,
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        context = await _place(request, tenants, holder) | await _list(roles, pager, holder, q, cursor)
        return render(request, "roles/index.html", context, fragment="roles/_list.html")

    @post("/", permission=WRITE, audit="role.create", status_code=200)
    async def create(
        self,
        request: AnyRequest,
        roles: NamedDependency[RoleService],
        tenants: NamedDependency[TenantService],
        pager: NamedDependency[Pager],
        holder: NamedDependency[UUID],
        data: URLEncodedBody[RoleForm],
    ) -> Template:
        role = await roles.create(holder, data.name, data.about, data.chosen())
        context = await _place(request, tenants, holder) | await _list(roles, pager, holder)
        answer = render(request, "roles/index.html", context, fragment="roles/_list.html")
        return _told(answer, f"The role {role.name} was made.")

    @get("/{role_id:uuid}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        roles: NamedDependency[RoleService],
        tenants: NamedDependency[TenantService],
        holder: NamedDependency[UUID],
        role_id: FromPath[UUID],
    ) -> Template:
        context = await _place(request, tenants, holder) | await _one(roles, holder, role_id)
        return render(request, "roles/show.html", context, fragment="roles/_drawer.html")

    @post("/{role_id:uuid}", permission=WRITE, audit="role.update", status_code=200)
    async def update(
        self,
        request: AnyRequest,
        roles: NamedDependency[RoleService],
        tenants: NamedDependency[TenantService],
        holder: NamedDependency[UUID],
        role_id: FromPath[UUID],
        data: URLEncodedBody[RoleForm],
    ) -> Template:
        expected = None if data.version is None else {data.version}
        role = await roles.update(holder, role_id, data.change(), expected=expected)
        context = await _place(request, tenants, holder) | await _one(roles, holder, role_id)
        return _told(
            render(request, "roles/show.html", context, fragment="roles/_body.html"), f"{role.name} is changed."
        )

    @post("/{role_id:uuid}/removal", permission=WRITE, audit="role.delete", status_code=200)
    async def delete(
        self,
        request: AnyRequest,
        roles: NamedDependency[RoleService],
        tenants: NamedDependency[TenantService],
        pager: NamedDependency[Pager],
        holder: NamedDependency[UUID],
        role_id: FromPath[UUID],
    ) -> Template:
        role = await roles.delete(holder, role_id)
        context = await _place(request, tenants, holder) | await _list(roles, pager, holder)
        return _told(
            render(request, "roles/index.html", context, fragment="roles/_list.html"), f"{role.name} is deleted."
        )


class TenantRolePages(RolePages):
    """The roles of any tenant, for the owner."""

    path = "/tenants/{tenant_id:uuid}/roles"


async def _place(request: AnyRequest, tenants: TenantService, holder: UUID) -> dict[str, Any]:
    home = home_of(request)
    return {"tenant_id": holder, "tenant": await tenants.called(holder), "home": home, "path": f"{home}/roles"}


async def _list(
    roles: RoleService, pager: Pager, holder: UUID, text: str | None = None, cursor: str | None = None
) -> dict[str, Any]:
    page = await roles.search(pager, holder, text=text, cursor=cursor)
    return {
        "page": page,
        "cursor": cursor,
        "params": {"q": text} if text else {},
        "rights": await roles.rights(page.items),
        "holders": await roles.holders(holder),
        "grantable": [(item.name, item.name, item.label) for item in roles.grantable()],
    }


async def _one(roles: RoleService, holder: UUID, role_id: UUID) -> dict[str, Any]:
    role = await roles.get(holder, role_id)
    return {
        "role": role,
        "rights": sorted((await roles.rights([role]))[role.id]),
        "members": (await roles.holders(holder)).get(role.id, 0),
        "grantable": [(item.name, item.name, item.label) for item in roles.grantable()],
    }


def _told(answer: Template, message: str) -> Template:
    answer.headers["HX-Trigger"] = json.dumps({"toast": {"message": message, "tone": "ok"}})
    return answer
