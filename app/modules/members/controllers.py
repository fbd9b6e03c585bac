"""`/api/owner/tenants/{id}/members`."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.core.etag import IfMatch, etag, versions
from app.core.paging import Pager
from app.modules.members.models import TenantMember
from app.modules.members.permissions import READ, WRITE
from app.modules.members.repository import MemberFilter
from app.modules.members.schemas import (
    MEMBER_SEEN,
    MemberChange,
    MemberCreate,
    MemberDetail,
    MemberPage,
    MembersChange,
    MembersChanged,
    PlaceChange,
    detail,
    read,
)
from app.modules.members.service import SORTS, MemberService


class MemberController(Controller):
    path = "/tenants/{tenant_id:uuid}/members"

    @get("/", permission=READ, sorts=SORTS)
    async def search(
        self,
        members: NamedDependency[MemberService],
        pager: NamedDependency[Pager],
        tenant_id: FromPath[UUID],
        q: FromQuery[str | None] = None,
        role_id: Annotated[UUID | None, QueryParameter(name="roleId")] = None,
        workspace_id: Annotated[UUID | None, QueryParameter(name="workspaceId")] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> MemberPage:
        """List a tenant's members, newest first or as `sort` says. `q` is looked for in name and e-mail."""
        wanted = MemberFilter(q or None, role_id, workspace_id)
        page = (await members.search(pager, tenant_id, wanted, limit=limit, cursor=cursor)).map(read)
        return MemberPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @post("/", permission=WRITE, audit="member.add")
    async def add(
        self, members: NamedDependency[MemberService], tenant_id: FromPath[UUID], data: JSONBody[MemberCreate]
    ) -> Response[MemberDetail]:
        """Make a person who has an account a member of a tenant."""
        member = await members.add(tenant_id, data.email, data.role_id)
        where = {"Location": f"/api/owner/tenants/{tenant_id}/members/{member.id}"}
        return await _answer(members, member, 201, where)

    @get("/{member_id:uuid}", permission=READ, access=MEMBER_SEEN)
    async def show(
        self, members: NamedDependency[MemberService], tenant_id: FromPath[UUID], member_id: FromPath[UUID]
    ) -> Response[MemberDetail]:
        """Read one member, with its workspaces."""
        return await _answer(members, await members.get(tenant_id, member_id))

    @patch("/{member_id:uuid}", permission=WRITE, audit="member.update")
    async def update(
        self,
        members: NamedDependency[MemberService],
        tenant_id: FromPath[UUID],
        member_id: FromPath[UUID],
        data: JSONBody[MemberChange],
        if_match: IfMatch = None,
    ) -> Response[MemberDetail]:
        """Give a member another role in the whole tenant, or none. The last owner or admin stays one: 409."""
        expected = versions(if_match)
        return await _answer(members, await members.set_role(tenant_id, member_id, data.role_id, expected=expected))

    @post("/roles", permission=WRITE, audit="member.update", status_code=200)
    async def update_many(
        self, members: NamedDependency[MemberService], tenant_id: FromPath[UUID], data: JSONBody[MembersChange]
    ) -> MembersChanged:
        """Give several members another role in the whole tenant, all of them or nobody. One owner or admin stays."""
        return MembersChanged(changed=await members.set_roles(tenant_id, data.ids, data.role_id))

    @put("/{member_id:uuid}/workspaces/{workspace_id:uuid}", permission=WRITE, audit="member.place", status_code=200)
    async def place(
        self,
        members: NamedDependency[MemberService],
        tenant_id: FromPath[UUID],
        member_id: FromPath[UUID],
        workspace_id: FromPath[UUID],
        data: JSONBody[PlaceChange],
    ) -> Response[MemberDetail]:
        """Give a member roles in one workspace, in place of those before; none takes it out of there."""
        return await _answer(members, await members.set_place(tenant_id, member_id, workspace_id, data.role_ids))

    @delete("/{member_id:uuid}", permission=WRITE, audit="member.remove")
    async def remove(
        self, members: NamedDependency[MemberService], tenant_id: FromPath[UUID], member_id: FromPath[UUID]
    ) -> None:
        """Take a member out of a tenant. The account stays. The last owner or admin stays too: 409."""
        await members.remove(tenant_id, [member_id])


async def _answer(
    members: MemberService, member: TenantMember, status: int = 200, headers: dict[str, str] | None = None
) -> Response[MemberDetail]:
    places = (await members.places([member])).get(member.id, {})
    return Response(detail(member, places), status_code=status, headers=etag(member.version) | (headers or {}))
