"""`/api/owner/users` and `/api/owner/sessions`."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.core.etag import IfMatch, etag, versions
from app.core.paging import Pager
from app.modules.people.models import User
from app.modules.people.permissions import READ, WRITE
from app.modules.people.schemas import (
    SESSIONS_SEEN,
    USER_SEEN,
    USERS_SEEN,
    Ban,
    Bans,
    Changed,
    ConsentRead,
    Role,
    RoleChange,
    State,
    Unbans,
    UserChange,
    UserCreate,
    UserPage,
    UserRead,
    read,
    read_consent,
)
from app.modules.people.service import SORTS, People
from app.modules.sessions.service import SORTS as SESSION_SORTS
from app.modules.sessions.service import (
    DeviceRead,
    Revocations,
    Revoked,
    SessionBook,
    SessionFilter,
    SessionPage,
    read_device,
    read_session,
)
from app.modules.sessions.service import State as SessionState


class UserController(Controller):
    path = "/users"

    @get("/", permission=READ, access=USERS_SEEN, sorts=SORTS)
    async def search(
        self,
        people: NamedDependency[People],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        role: FromQuery[Role | None] = None,
        state_: Annotated[State | None, QueryParameter(name="state")] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> UserPage:
        """List people, newest first where nothing else is asked for. `q` is looked for in name and e-mail."""
        found = await people.search(pager, text=q, role=role, state=state_, limit=limit, cursor=cursor)
        page = found.map(read)
        return UserPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @post("/", permission=WRITE, audit="owner.user.create")
    async def create(self, people: NamedDependency[People], data: JSONBody[UserCreate]) -> Response[UserRead]:
        """Make a person, who gets a mail with a link to set a password."""
        user = await people.create(data.email, data.name, phone=data.phone)
        return _answer(user, status=201, headers={"Location": f"/api/owner/users/{user.id}"})

    @get("/{user_id:uuid}", permission=READ, access=USER_SEEN)
    async def show(self, people: NamedDependency[People], user_id: FromPath[UUID]) -> Response[UserRead]:
        """Read one person."""
        return _answer(await people.get(user_id))

    @patch("/{user_id:uuid}", permission=WRITE, audit="owner.user.update")
    async def update(
        self,
        people: NamedDependency[People],
        user_id: FromPath[UUID],
        data: JSONBody[UserChange],
        if_match: IfMatch = None,
    ) -> Response[UserRead]:
        """Change a person's name, e-mail or phone."""
        return _answer(await people.update(user_id, data, expected=versions(if_match)))

    @delete("/{user_id:uuid}", permission=WRITE, audit="owner.user.erase")
    async def erase(self, people: NamedDependency[People], user_id: FromPath[UUID]) -> None:
        """Delete a person with everything that hangs on the account."""
        await people.erase(user_id)

    @put("/{user_id:uuid}/role", permission=WRITE, audit="owner.user.role")
    async def set_role(
        self, people: NamedDependency[People], user_id: FromPath[UUID], data: JSONBody[RoleChange]
    ) -> Response[UserRead]:
        """Make a person an owner, operator or auditor of the platform, or an ordinary person; its sessions end."""
        return _answer(await people.set_role(user_id, data.role))

    @put("/{user_id:uuid}/ban", permission=WRITE, audit="owner.user.ban")
    async def ban(
        self, people: NamedDependency[People], user_id: FromPath[UUID], data: JSONBody[Ban]
    ) -> Response[UserRead]:
        """Let a person in no more; every session ends at once."""
        return _answer(await people.ban(user_id, data.reason))

    @delete("/{user_id:uuid}/ban", permission=WRITE, audit="owner.user.unban", status_code=200)
    async def unban(self, people: NamedDependency[People], user_id: FromPath[UUID]) -> Response[UserRead]:
        """Let a banned person in again."""
        return _answer(await people.unban(user_id))

    @post("/bans", permission=WRITE, audit="owner.user.ban", status_code=200)
    async def ban_many(self, people: NamedDependency[People], data: JSONBody[Bans]) -> Changed:
        """Let several people in no more, all of them or nobody; every session ends at once."""
        return Changed(changed=await people.ban_many(data.ids, data.reason))

    @post("/unbans", permission=WRITE, audit="owner.user.unban", status_code=200)
    async def unban_many(self, people: NamedDependency[People], data: JSONBody[Unbans]) -> Changed:
        """Let several banned people in again."""
        return Changed(changed=await people.unban_many(data.ids))

    @post("/{user_id:uuid}/password-reset", permission=WRITE, audit="owner.user.reset", status_code=202)
    async def reset(self, people: NamedDependency[People], user_id: FromPath[UUID]) -> Response[UserRead]:
        """Mail a person a link that sets a new password."""
        return _answer(await people.send_reset(user_id), status=202)

    @delete("/{user_id:uuid}/factor", permission=WRITE, audit="owner.user.factor_reset", status_code=200)
    async def drop_factor(self, people: NamedDependency[People], user_id: FromPath[UUID]) -> Response[UserRead]:
        """Switch the second factor off for a person who lost it; the person's sessions end."""
        return _answer(await people.drop_factor(user_id))

    @get("/{user_id:uuid}/sessions", permission=READ, access=USER_SEEN)
    async def sessions(
        self,
        people: NamedDependency[People],
        book: NamedDependency[SessionBook],
        pager: NamedDependency[Pager],
        user_id: FromPath[UUID],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> SessionPage:
        """List where a person is signed in, newest first."""
        await people.get(user_id)
        page = (await book.search(pager, user_id, limit=limit, cursor=cursor)).map(read_session)
        return SessionPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{user_id:uuid}/consents", permission=READ, access=USER_SEEN)
    async def consents(self, people: NamedDependency[People], user_id: FromPath[UUID]) -> Sequence[ConsentRead]:
        """List every answer that a person gave to a purpose, the oldest first."""
        await people.get(user_id)
        return [read_consent(row) for row in await people.answers(user_id)]

    @get("/{user_id:uuid}/devices", permission=READ, access=USER_SEEN)
    async def devices(
        self, people: NamedDependency[People], book: NamedDependency[SessionBook], user_id: FromPath[UUID]
    ) -> Sequence[DeviceRead]:
        """List the browsers that signed a person in before, the last used first."""
        await people.get(user_id)
        return [read_device(row) for row in await book.devices(user_id)]


class SessionController(Controller):
    path = "/sessions"

    @get("/", permission=READ, access=SESSIONS_SEEN, sorts=SESSION_SORTS)
    async def search(
        self,
        people: NamedDependency[People],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        device: FromQuery[str | None] = None,
        state_: Annotated[SessionState, QueryParameter(name="state")] = "open",
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> SessionPage:
        """List where people are signed in, newest first where nothing else is asked for.

        `q` is looked for in the person's name and e-mail, `device` in what the browser calls itself.
        """
        wanted = SessionFilter(state_, device)
        found = await people.sessions(pager, wanted, text=q, limit=limit, cursor=cursor)
        page = found.map(read_session)
        return SessionPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @post("/revocations", permission=WRITE, audit="session.revoke", status_code=200)
    async def revoke_many(self, book: NamedDependency[SessionBook], data: JSONBody[Revocations]) -> Revoked:
        """End several sessions at once; those that are over already are passed over."""
        return Revoked(revoked=await book.revoke_many(data.ids))

    @delete("/{session_id:uuid}", permission=WRITE, audit="session.revoke")
    async def revoke(self, book: NamedDependency[SessionBook], session_id: FromPath[UUID]) -> None:
        """End a session, at once."""
        await book.revoke(session_id)


def _answer(user: User, *, status: int = 200, headers: dict[str, str] | None = None) -> Response[UserRead]:
    return Response(read(user), status_code=status, headers=etag(user.version) | (headers or {}))
