"""`/dashboard/owner/users` and `/dashboard/owner/sessions`."""

from typing import Annotated, Any, get_args
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter, URLEncodedBody
from litestar.response import Template

from app.core.access import tell
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.queries import one_of
from app.core.roles import PLATFORM
from app.core.templating import PREFIX, render, told
from app.modules.people.permissions import READ, WRITE
from app.modules.people.schemas import (
    SESSIONS_SEEN,
    USER_SEEN,
    USERS_SEEN,
    BanForm,
    Role,
    RoleForm,
    Sort,
    State,
    UserChange,
    UserForm,
)
from app.modules.people.service import People
from app.modules.sessions.service import SessionBook

PATH = f"{PREFIX}/users"
AnyRequest = Request[Any, Any, Any]
ROLES = [*PLATFORM.items(), ("user", "Ordinary person")]
STATES = [(state, state.capitalize()) for state in get_args(State)]


class UserPages(Controller):
    path = "/users"

    @get("/", permission=READ, access=USERS_SEEN)
    async def index(
        self,
        request: AnyRequest,
        people: NamedDependency[People],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        role: FromQuery[str | None] = None,
        state_: Annotated[str | None, QueryParameter(name="state")] = None,
        sort: FromQuery[str | None] = None,
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        asked = {"q": q, "role": role, "state": state_, "sort": sort}
        order: Sort = one_of("sort", sort, Sort) or "-createdAt"
        page = await people.search(
            pager,
            text=q,
            role=one_of("role", role, Role),
            state=one_of("state", state_, State),
            sort=order,
            cursor=cursor,
        )
        tell(request, rows=len(page.items))
        context = {
            "page": page,
            "cursor": cursor,
            "params": {name: value for name, value in asked.items() if value},
            "sort": order,
            "roles": ROLES,
            "states": STATES,
        }
        return render(request, "people/index.html", context, fragment="people/_list.html")

    @post("/", permission=WRITE, audit="owner.user.create", status_code=200)
    async def create(self, people: NamedDependency[People], data: URLEncodedBody[UserForm]) -> Response[bytes]:
        user = await people.create(data.email, data.name, phone=data.phone)
        return Response(b"", headers={"HX-Redirect": f"{PATH}/{user.id}"})

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

    @post("/{user_id:uuid}/role", permission=WRITE, audit="owner.user.role", step_up=True, status_code=200)
    async def set_role(
        self, people: NamedDependency[People], user_id: FromPath[UUID], data: URLEncodedBody[RoleForm]
    ) -> Response[bytes]:
        await people.set_role(user_id, data.role)
        return _again(user_id)

    @post("/{user_id:uuid}/ban", permission=WRITE, audit="owner.user.ban", step_up=True, status_code=200)
    async def ban(
        self, people: NamedDependency[People], user_id: FromPath[UUID], data: URLEncodedBody[BanForm]
    ) -> Response[bytes]:
        await people.ban(user_id, data.reason)
        return _again(user_id)

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
        step_up=True,
        status_code=200,
    )
    async def drop_factor(self, people: NamedDependency[People], user_id: FromPath[UUID]) -> Response[bytes]:
        await people.drop_factor(user_id)
        return _again(user_id)

    @post("/{user_id:uuid}/erasure", permission=WRITE, audit="owner.user.erase", step_up=True, status_code=200)
    async def erase(self, people: NamedDependency[People], user_id: FromPath[UUID]) -> Response[bytes]:
        await people.erase(user_id)
        return Response(b"", headers={"HX-Redirect": PATH})


class SessionPages(Controller):
    path = "/sessions"

    @get("/", permission=READ, access=SESSIONS_SEEN)
    async def index(
        self,
        request: AnyRequest,
        actor: NamedDependency[Actor],
        people: NamedDependency[People],
        book: NamedDependency[SessionBook],
        pager: NamedDependency[Pager],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        return await _sessions(request, actor, people, book, pager, cursor)

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
        return told(await _sessions(request, actor, people, book, pager), "The session has ended.")


async def _sessions(
    request: AnyRequest, actor: Actor, people: People, book: SessionBook, pager: Pager, cursor: str | None = None
) -> Template:
    page = await book.search(pager, cursor=cursor)
    tell(request, rows=len(page.items))
    whose = await people.by_ids({row.user_id for row in page.items})
    context = {"page": page, "cursor": cursor, "people": whose, "here": actor.session}
    return render(request, "people/sessions.html", context, fragment="people/_sessions.html")


def _again(user_id: UUID) -> Response[bytes]:
    return Response(b"", headers={"HX-Redirect": f"{PATH}/{user_id}"})
