"""`/api/owner/tenants/{id}/invitations`."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.core.paging import Pager
from app.core.settings import Settings
from app.modules.invitations.permissions import READ, WRITE
from app.modules.invitations.schemas import (
    InvitationCreate,
    InvitationIds,
    InvitationMade,
    InvitationPage,
    InvitationRead,
    InvitationsChanged,
    State,
    made,
    read,
)
from app.modules.invitations.service import SORTS, InvitationService


class InvitationController(Controller):
    path = "/tenants/{tenant_id:uuid}/invitations"

    @get("/", permission=READ, sorts=SORTS)
    async def search(
        self,
        invitations: NamedDependency[InvitationService],
        pager: NamedDependency[Pager],
        tenant_id: FromPath[UUID],
        q: FromQuery[str | None] = None,
        wanted: Annotated[State | None, QueryParameter(name="state")] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> InvitationPage:
        """List a tenant's invitations, newest first or as `sort` says, without their links."""
        page = await invitations.search(pager, tenant_id, text=q, state=wanted, limit=limit, cursor=cursor)
        found = page.map(read)
        return InvitationPage(items=found.items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)

    @post("/", permission=WRITE, audit="invitation.create", secret_answer=True)
    async def create(
        self,
        invitations: NamedDependency[InvitationService],
        settings: NamedDependency[Settings],
        tenant_id: FromPath[UUID],
        data: JSONBody[InvitationCreate],
    ) -> Response[InvitationMade]:
        """Invite somebody into a tenant for seven days. The link is in this answer only."""
        row, secret = await invitations.create(tenant_id, data.email, data.role_id)
        where = {"Location": f"/api/owner/tenants/{tenant_id}/invitations/{row.id}"}
        return Response(made(row, f"{settings.base_url}/invitations/{secret}"), status_code=201, headers=where)

    @get("/{invitation_id:uuid}", permission=READ)
    async def show(
        self,
        invitations: NamedDependency[InvitationService],
        tenant_id: FromPath[UUID],
        invitation_id: FromPath[UUID],
    ) -> InvitationRead:
        """Read one invitation, without its link."""
        return read(await invitations.get(tenant_id, invitation_id))

    @post("/revocations", permission=WRITE, audit="invitation.revoke", status_code=200)
    async def revoke_many(
        self,
        invitations: NamedDependency[InvitationService],
        tenant_id: FromPath[UUID],
        data: JSONBody[InvitationIds],
    ) -> InvitationsChanged:
        """Take several invitations back, all or none."""
        return InvitationsChanged(changed=await invitations.revoke_many(tenant_id, data.ids))

    @post("/reminders", permission=WRITE, audit="invitation.resend", status_code=200)
    async def resend_many(
        self,
        invitations: NamedDependency[InvitationService],
        tenant_id: FromPath[UUID],
        data: JSONBody[InvitationIds],
    ) -> InvitationsChanged:
        """Mail several invitations again, all or none; their links are good for seven more days."""
        return InvitationsChanged(changed=len(await invitations.resend(tenant_id, data.ids)))

    @post("/{invitation_id:uuid}/reminder", permission=WRITE, audit="invitation.resend", status_code=200)
    async def resend(
        self,
        invitations: NamedDependency[InvitationService],
        tenant_id: FromPath[UUID],
        invitation_id: FromPath[UUID],
    ) -> InvitationRead:
        """Mail an invitation again; its link is good for seven more days."""
        [row] = await invitations.resend(tenant_id, [invitation_id])
        return read(row)

    @delete("/{invitation_id:uuid}", permission=WRITE, audit="invitation.revoke")
    async def revoke(
        self,
        invitations: NamedDependency[InvitationService],
        tenant_id: FromPath[UUID],
        invitation_id: FromPath[UUID],
    ) -> None:
        """Take an invitation back. Its link no longer works."""
        await invitations.revoke(tenant_id, invitation_id)
