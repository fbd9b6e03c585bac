"""Invitations in the dashboards, and `/invitations/{link}`, where people take them up."""

from typing import Any, get_args
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect, Template

from app.core.database import Plane
from app.core.errors import Invalid, Problem
from app.core.listing import Asked, asked_of, filled, kept
from app.core.paging import Pager
from app.core.policy import PUBLIC, SIGNED_IN, Actor, actor_of
from app.core.queries import one_of, uuid_of, uuids_of
from app.core.settings import Settings
from app.core.templating import MEMBERS, home_of, render, told
from app.core.wire import SHORT_BODY, Ticked
from app.modules.invitations.permissions import READ, WRITE
from app.modules.invitations.schemas import InvitationForm, RegisterForm, State
from app.modules.invitations.service import SORTS, InvitationOver, InvitationService, Welcome
from app.modules.roles.service import RoleService
from app.modules.tenants.service import TenantService

AnyRequest = Request[Any, Any, Any]
LISTED = ("q", "state", "sort")


class Views:
    """What this module shows: each a whole page, or for HTMX the fragment that an act changed."""

    def __init__(
        self,
        request: AnyRequest,
        holder: UUID,
        invitations: InvitationService,
        roles: RoleService,
        tenants: TenantService,
        pager: Pager,
    ) -> None:
        self.holder, self.invitations = holder, invitations
        self._request, self._roles, self._tenants, self._pager = request, roles, tenants, pager

    async def index(self, asked: Asked | None = None) -> Template:
        """The list as the address asks for it, or as `asked`."""
        params, place = asked or asked_of(self._request.query_params, LISTED)
        state: State | None = one_of("state", params.get("state"), State)
        pager, text = self._pager.by(params.get("sort")), params.get("q")
        page, cursor = await filled(
            lambda at: self.invitations.search(pager, self.holder, text=text, state=state, cursor=at), place
        )
        context = await self._common() | {"page": page, "cursor": cursor, "params": params, "states": _STATES}
        return render(self._request, "invitations/index.html", context, fragment="invitations/_list.html")

    async def again(self) -> Template:
        """The list as the reader has it, after an act on it."""
        return await self.index(kept(self._request, f"{home_of(self._request)}/invitations", LISTED))

    async def show(self, invitation_id: UUID) -> Template:
        context = await self._common() | {"invitation": await self.invitations.get(self.holder, invitation_id)}
        return render(self._request, "invitations/show.html", context, fragment="invitations/_drawer.html")

    async def made(self, email: str, link: str | None) -> Template:
        """
        Args:
            link: None where it went to that address alone.
        """
        context = await self._common() | {"email": email, "link": link}
        return render(self._request, "invitations/made.html", context, fragment="invitations/_made.html")

    async def _common(self) -> dict[str, Any]:
        home, roles = home_of(self._request), await self._roles.all(self.holder)
        return {
            "tenant_id": self.holder,
            "tenant": await self._tenants.called(self.holder),
            "home": home,
            "path": f"{home}/invitations",
            "roles": {role.id: role.name for role in roles},
            "choices": [(str(role.id), role.name) for role in await self._roles.within(roles)],
        }


class InvitationPages(Controller):
    """The invitations of the tenant that the reader belongs to."""

    path = "/invitations"

    @get("/", permission=READ, sorts=SORTS)
    async def index(self, views: NamedDependency[Views]) -> Template:
        return await views.index()

    @get("/{invitation_id:uuid}", permission=READ)
    async def show(self, views: NamedDependency[Views], invitation_id: FromPath[UUID]) -> Template:
        return await views.show(invitation_id)

    @post("/", permission=WRITE, audit="invitation.create", status_code=200)
    async def create(
        self,
        views: NamedDependency[Views],
        actor: NamedDependency[Actor],
        settings: NamedDependency[Settings],
        data: URLEncodedBody[InvitationForm],
    ) -> Template:
        role = uuid_of("roleId", data.role_id)
        if role is None:
            raise Invalid.field("roleId", "choose a role")
        row, secret = await views.invitations.create(views.holder, data.email, role)
        # With the link one makes an account of that address: a tenant's members must not, where mails go out.
        shown = actor.plane is Plane.PLATFORM or not settings.smtp_url
        return await views.made(row.email, f"{settings.base_url}/invitations/{secret}" if shown else None)

    @post("/{invitation_id:uuid}/revocation", permission=WRITE, audit="invitation.revoke", status_code=200)
    async def revoke(self, views: NamedDependency[Views], invitation_id: FromPath[UUID]) -> Template:
        row = await views.invitations.revoke(views.holder, invitation_id)
        return told(await views.again(), f"The invitation of {row.email} is taken back.")

    @post("/revocations", permission=WRITE, audit="invitation.revoke", status_code=200)
    async def revoke_many(self, views: NamedDependency[Views], data: URLEncodedBody[Ticked]) -> Template:
        done = await views.invitations.revoke_many(views.holder, uuids_of("ids", data.ids))
        return told(await views.again(), f"Taken back now: {done}.")

    @post("/reminders", permission=WRITE, audit="invitation.resend", status_code=200)
    async def resend(self, views: NamedDependency[Views], data: URLEncodedBody[Ticked]) -> Template:
        rows = await views.invitations.resend(views.holder, uuids_of("ids", data.ids))
        who = rows[0].email if len(rows) == 1 else f"{len(rows)} people"
        return told(await views.again(), f"A mail to {who} is on its way.")


class TenantInvitationPages(InvitationPages):
    """The invitations of any tenant, for the owner."""

    path = "/tenants/{tenant_id:uuid}/invitations"


class WelcomePages(Controller):
    """Where an invitation's link leads."""

    path = "/invitations/{link:str}"
    request_max_body_size = SHORT_BODY

    @get("/", permission=PUBLIC)
    async def look(self, request: AnyRequest, link: FromPath[str], welcome: NamedDependency[Welcome]) -> Template:
        return await _page(request, welcome, link)

    @post("/", permission=PUBLIC, audit="account.register", status_code=200)
    async def register(
        self,
        request: AnyRequest,
        link: FromPath[str],
        welcome: NamedDependency[Welcome],
        data: URLEncodedBody[RegisterForm],
    ) -> Template | Redirect:
        try:
            if data.password != data.repeat:
                raise Invalid.field("repeat", "is not the same password")
            slug = await welcome.register(link, data.name, data.password)
        except Problem as problem:
            return await _page(request, welcome, link, problem, {"name": data.name})
        return Redirect(f"/signin?next={MEMBERS}/{slug}", status_code=303)

    @post("/join", permission=SIGNED_IN, audit="invitation.accept", status_code=200)
    async def join(
        self, link: FromPath[str], welcome: NamedDependency[Welcome], actor: NamedDependency[Actor]
    ) -> Redirect:
        return Redirect(f"{MEMBERS}/{await welcome.join(link, actor)}", status_code=303)


async def _page(
    request: AnyRequest,
    welcome: Welcome,
    link: str,
    problem: Problem | None = None,
    values: dict[str, str] | None = None,
) -> Template:
    try:
        offer = await welcome.look(link)
    except InvitationOver as over:
        offer, problem = None, over
    actor = actor_of(request)
    fields = {error.field: error.message for error in problem.errors} if problem else {}
    context = {
        "offer": offer,
        "link": link,
        "values": values or {},
        "fields": fields,
        "error": problem.detail if problem and not fields else None,
        "signed_in": actor is not None and actor.session is not None,
    }
    page = "invitations/welcome.html"
    return render(request, page, context, fragment=page, status=problem.status if problem else 200)


_STATES = [(state, state.capitalize()) for state in get_args(State)]
