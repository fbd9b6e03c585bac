"""Members in the dashboards: `/members` of a tenant's members, `/tenants/{id}/members` of the owner."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template

from app.core.errors import Invalid
from app.core.listing import Asked, asked_of, filled, kept
from app.core.paging import Pager
from app.core.queries import uuid_of, uuids_of
from app.core.templating import home_of, render, told
from app.core.wire import Ticked
from app.modules.members.permissions import READ, WRITE
from app.modules.members.repository import MemberFilter
from app.modules.members.schemas import MEMBER_SEEN, MemberForm, PlaceForm, RoleForm, RolesForm
from app.modules.members.service import SORTS, MemberService
from app.modules.roles.service import RoleService
from app.modules.tenants.service import TenantService

AnyRequest = Request[Any, Any, Any]
LISTED = ("q", "roleId", "workspaceId", "sort")


class Views:
    """What this module shows: each a whole page, or for HTMX the fragment that an act changed."""

    def __init__(
        self,
        request: AnyRequest,
        holder: UUID,
        members: MemberService,
        roles: RoleService,
        tenants: TenantService,
        pager: Pager,
    ) -> None:
        self.holder, self.members = holder, members
        self._request, self._roles, self._tenants, self._pager = request, roles, tenants, pager

    async def index(self, asked: Asked | None = None) -> Template:
        """The list as the address asks for it, or as `asked`."""
        params, place = asked or asked_of(self._request.query_params, LISTED)
        role, workspace = uuid_of("roleId", params.get("roleId")), uuid_of("workspaceId", params.get("workspaceId"))
        wanted = MemberFilter(params.get("q"), role, workspace)
        pager = self._pager.by(params.get("sort"))
        page, cursor = await filled(lambda at: self.members.search(pager, self.holder, wanted, cursor=at), place)
        context = await self._common() | {
            "page": page,
            "cursor": cursor,
            "params": params,
            "places": await self.members.places(page.items),
        }
        return render(self._request, "members/index.html", context, fragment="members/_list.html")

    async def again(self) -> Template:
        """The list as the reader has it, after an act on it."""
        return await self.index(kept(self._request, f"{home_of(self._request)}/members", LISTED))

    async def show(self, member_id: UUID, fragment: str) -> Template:
        member = await self.members.get(self.holder, member_id)
        places = (await self.members.places([member])).get(member.id, {})
        context = await self._common() | {"member": member, "mine": places}
        part = f"members/{fragment}.html"
        return render(self._request, "members/show.html", context, fragment=part, access=MEMBER_SEEN)

    async def _common(self) -> dict[str, Any]:
        home, roles = home_of(self._request), await self._roles.all(self.holder)
        return {
            "tenant_id": self.holder,
            "tenant": await self._tenants.called(self.holder),
            "home": home,
            "path": f"{home}/members",
            "roles": {role.id: role.name for role in roles},
            "choices": [(str(role.id), role.name) for role in await self._roles.within(roles)],
            "workspaces": await self._tenants.workspace_names(self.holder),
        }


class MemberPages(Controller):
    """The members of the tenant that the reader belongs to."""

    path = "/members"

    @get("/", permission=READ, sorts=SORTS)
    async def index(self, views: NamedDependency[Views]) -> Template:
        return await views.index()

    @get("/{member_id:uuid}", permission=READ, access=MEMBER_SEEN)
    async def show(
        self, views: NamedDependency[Views], member_id: FromPath[UUID], part: FromQuery[bool] = False
    ) -> Template:
        return await views.show(member_id, "_member" if part else "_drawer")

    @post("/{member_id:uuid}/role", permission=WRITE, audit="member.update", status_code=200)
    async def set_role(
        self, views: NamedDependency[Views], member_id: FromPath[UUID], data: URLEncodedBody[RoleForm]
    ) -> Template:
        expected = None if data.version is None else {data.version}
        member = await views.members.set_role(
            views.holder, member_id, uuid_of("roleId", data.role_id), expected=expected
        )
        return told(await views.show(member_id, "_member"), f"{member.name} has another role.")

    @post("/roles", permission=WRITE, audit="member.update", status_code=200)
    async def set_roles(self, views: NamedDependency[Views], data: URLEncodedBody[RolesForm]) -> Template:
        role = _role(data.role_id)
        done = await views.members.set_roles(views.holder, uuids_of("ids", data.ids), role)
        return told(await views.again(), f"Have another role now: {done}.")

    @post("/{member_id:uuid}/place", permission=WRITE, audit="member.place", status_code=200)
    async def set_place(
        self, views: NamedDependency[Views], member_id: FromPath[UUID], data: URLEncodedBody[PlaceForm]
    ) -> Template:
        workspace = uuid_of("workspaceId", data.workspace_id)
        if workspace is None:
            raise Invalid.field("workspaceId", "choose a workspace")
        roles = uuids_of("roleIds", data.role_ids)
        member = await views.members.set_place(views.holder, member_id, workspace, roles)
        return told(await views.show(member_id, "_member"), f"The workspaces of {member.name} are changed.")

    @post("/removal", permission=WRITE, audit="member.remove", status_code=200)
    async def remove(self, views: NamedDependency[Views], data: URLEncodedBody[Ticked]) -> Template:
        gone = await views.members.remove(views.holder, uuids_of("ids", data.ids))
        who = gone[0].name if len(gone) == 1 else f"{len(gone)} members"
        return told(await views.again(), f"{who} left the tenant.")


class TenantMemberPages(MemberPages):
    """The members of any tenant, for the owner."""

    path = "/tenants/{tenant_id:uuid}/members"

    @post("/", permission=WRITE, audit="member.add", status_code=200)
    async def add(self, views: NamedDependency[Views], data: URLEncodedBody[MemberForm]) -> Template:
        member = await views.members.add(views.holder, data.email, _role(data.role_id))
        return told(await views.again(), f"{member.name} is a member now.")


def _role(chosen: str) -> UUID:
    role = uuid_of("roleId", chosen)
    if role is None:
        raise Invalid.field("roleId", "choose a role")
    return role
