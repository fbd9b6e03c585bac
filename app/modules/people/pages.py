"""`/dashboard/owner/users` and `/dashboard/owner/sessions`."""

from typing import Any, get_args
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template

from app.core.access import tell
from app.core.listing import Asked, asked_of, filled, kept
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.queries import one_of, uuids_of
from app.core.roles import PLATFORM
from app.core.templating import PREFIX, gone_to, render, told
from app.core.wire import Ticked
from app.modules.people.permissions import READ, WRITE
from app.modules.people.schemas import (
    SESSIONS_SEEN,
    USER_SEEN,
    USERS_SEEN,
    BanForm,
    BansForm,
    Role,
    RoleForm,
    State,
    UserChange,
    UserForm,
)
from app.modules.people.service import PURPOSES, SORTS, People
from app.modules.sessions.service import SORTS as SESSION_SORTS
from app.modules.sessions.service import SessionBook, SessionFilter
from app.modules.sessions.service import State as SessionState

PATH, SESSIONS = f"{PREFIX}/users", f"{PREFIX}/sessions"
PEOPLE_LISTED, SESSIONS_LISTED = ("q", "role", "state", "sort"), ("q", "device", "state", "sort")
AnyRequest = Request[Any, Any, Any]
ROLES = [*PLATFORM.items(), ("user", "Ordinary person")]
STATES = [(state, state.capitalize()) for state in get_args(State)]
SESSION_STATES = [("ended", "Ended"), ("expired", "Expired")]


class UserPages(Controller):
    path = "/users"

    @get("/", permission=READ, access=USERS_SEEN, sorts=SORTS)
    async def index(
        self, request: AnyRequest, people: NamedDependency[People], pager: NamedDependency[Pager]
    ) -> Template:
        return await _people(request, people, pager, asked_of(request.query_params, PEOPLE_LISTED))

    @post("/", permission=WRITE, audit="owner.user.create", status_code=200)
    async def create(self, people: NamedDependency[People], data: URLEncodedBody[UserForm]) -> Response[bytes]:
        user = await people.create(data.email, data.name, phone=data.phone)
        return gone_to(f"{PATH}/{user.id}")

    @get("/{user_id:uuid}", permission=READ, access=USER_SEEN)
    async def show(
        self,
        request: AnyRequest,
        actor: NamedDependency[Actor],
        people: NamedDependency[People],
        book: NamedDependency[SessionBook],
        pager: NamedDependency[Pager],
        user_id: FromPath[UUID],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        user = await people.get(user_id)
        context = {
            "user": user,
            "profile": await people.profile(user.id),
            "factor": await people.factor(user.id),
            "consents": await people.consents(user.id),
            "answers": [*reversed(await people.answers(user.id))],
            "purposes": {each.name: each for each in PURPOSES},
            "devices": await book.devices(user.id),
            "page": await book.search(pager, user.id, limit=10, cursor=cursor),
            "cursor": cursor,
            "roles": ROLES,
            "own": user.id == actor.id,
        }
        return render(request, "people/show.html", context, fragment="people/_drawer.html")

    @post("/{user_id:uuid}", permission=WRITE, audit="owner.user.update", status_code=200)
    async def update(
        self, people: NamedDependency[People], user_id: FromPath[UUID], data: URLEncodedBody[UserForm]
    ) -> Response[bytes]:
        change = UserChange(name=data.name, email=data.email, phone=data.phone)
        await people.update(user_id, change, expected=None if data.version is None else {data.version})
        return _again(user_id)

    @post("/{user_id:uuid}/role", permission=WRITE, audit="owner.user.role", status_code=200)
    async def set_role(
        self, people: NamedDependency[People], user_id: FromPath[UUID], data: URLEncodedBody[RoleForm]
    ) -> Response[bytes]:
        await people.set_role(user_id, data.role)
        return _again(user_id)

    @post("/{user_id:uuid}/ban", permission=WRITE, audit="owner.user.ban", status_code=200)
    async def ban(
        self, people: NamedDependency[People], user_id: FromPath[UUID], data: URLEncodedBody[BanForm]
    ) -> Response[bytes]:
        await people.ban(user_id, data.reason)
        return _again(user_id)

    @post("/bans", permission=WRITE, audit="owner.user.ban", status_code=200)
    async def ban_many(
        self,
        request: AnyRequest,
        people: NamedDependency[People],
        pager: NamedDependency[Pager],
        data: URLEncodedBody[BansForm],
    ) -> Template:
        done = await people.ban_many(uuids_of("ids", data.ids), data.reason)
        view = await _people(request, people, pager, kept(request, PATH, PEOPLE_LISTED))
        return told(view, f"Banned now: {done}.")

    @post("/unbans", permission=WRITE, audit="owner.user.unban", status_code=200)
    async def unban_many(
        self,
        request: AnyRequest,
        people: NamedDependency[People],
        pager: NamedDependency[Pager],
        data: URLEncodedBody[Ticked],
    ) -> Template:
        done = await people.unban_many(uuids_of("ids", data.ids))
        view = await _people(request, people, pager, kept(request, PATH, PEOPLE_LISTED))
        return told(view, f"May sign in again: {done}.")

    @post("/{user_id:uuid}/unban", permission=WRITE, audit="owner.user.unban", status_code=200)
    async def unban(self, people: NamedDependency[People], user_id: FromPath[UUID]) -> Response[bytes]:
        await people.unban(user_id)
        return _again(user_id)

    @post("/{user_id:uuid}/password-reset", permission=WRITE, audit="owner.user.reset", status_code=200)
    async def reset(self, people: NamedDependency[People], user_id: FromPath[UUID]) -> Response[bytes]:
        await people.send_reset(user_id)
        return told(Response(b""), "A mail with a link is on its way.")

    @post(
        "/{user_id:uuid}/factor-removal",
        permission=WRITE,
        audit="owner.user.factor_reset",
        status_code=200,
    )
    async def drop_factor(self, people: NamedDependency[People], user_id: FromPath[UUID]) -> Response[bytes]:
        await people.drop_factor(user_id)
        return _again(user_id)

    @post("/{user_id:uuid}/erasure", permission=WRITE, audit="owner.user.erase", status_code=200)
    async def erase(self, people: NamedDependency[People], user_id: FromPath[UUID]) -> Response[bytes]:
        await people.erase(user_id)
        return gone_to(PATH)


class SessionPages(Controller):
    path = "/sessions"

    @get("/", permission=READ, access=SESSIONS_SEEN, sorts=SESSION_SORTS)
    async def index(
        self,
        request: AnyRequest,
        actor: NamedDependency[Actor],
        people: NamedDependency[People],
        pager: NamedDependency[Pager],
    ) -> Template:
        return await _sessions(request, actor, people, pager, asked_of(request.query_params, SESSIONS_LISTED))

    @post("/revocations", permission=WRITE, audit="session.revoke", status_code=200)
    async def revoke_many(
        self,
        request: AnyRequest,
        actor: NamedDependency[Actor],
        people: NamedDependency[People],
        book: NamedDependency[SessionBook],
        pager: NamedDependency[Pager],
        data: URLEncodedBody[Ticked],
    ) -> Template:
        ended = await book.revoke_many(uuids_of("ids", data.ids))
        view = await _sessions(request, actor, people, pager, kept(request, SESSIONS, SESSIONS_LISTED))
        return told(view, f"Ended now: {ended}.")

    @post("/{session_id:uuid}/revocation", permission=WRITE, audit="session.revoke", status_code=200)
    async def revoke(
        self,
        request: AnyRequest,
        actor: NamedDependency[Actor],
        people: NamedDependency[People],
        book: NamedDependency[SessionBook],
        pager: NamedDependency[Pager],
        session_id: FromPath[UUID],
    ) -> Template:
        await book.revoke(session_id)
        view = await _sessions(request, actor, people, pager, kept(request, SESSIONS, SESSIONS_LISTED))
        return told(view, "The session has ended.")


async def _people(request: AnyRequest, people: People, pager: Pager, wanted: Asked) -> Template:
    asked = wanted.params
    text, sorted_ = asked.get("q"), pager.by(asked.get("sort"))
    role, state = one_of("role", asked.get("role"), Role), one_of("state", asked.get("state"), State)
    page, cursor = await filled(
        lambda at: people.search(sorted_, text=text, role=role, state=state, cursor=at), wanted.cursor
    )
    tell(request, rows=len(page.items))
    context = {"page": page, "cursor": cursor, "params": asked, "roles": ROLES, "states": STATES}
    return render(request, "people/index.html", context, fragment="people/_list.html", access=USERS_SEEN)


async def _sessions(request: AnyRequest, actor: Actor, people: People, pager: Pager, where: Asked) -> Template:
    asked = where.params
    state: SessionState = one_of("state", asked.get("state"), SessionState) or "open"
    wanted, sorted_ = SessionFilter(state, asked.get("device")), pager.by(asked.get("sort"))
    page, cursor = await filled(
        lambda at: people.sessions(sorted_, wanted, text=asked.get("q"), cursor=at), where.cursor
    )
    tell(request, rows=len(page.items))
    context = {
        "page": page,
        "cursor": cursor,
        "params": asked,
        "states": SESSION_STATES,
        "people": await people.by_ids({row.user_id for row in page.items}),
        "here": actor.session,
    }
    return render(request, "people/sessions.html", context, fragment="people/_sessions.html", access=SESSIONS_SEEN)


def _again(user_id: UUID) -> Response[bytes]:
    return gone_to(f"{PATH}/{user_id}")
