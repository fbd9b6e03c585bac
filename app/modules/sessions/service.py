"""The rules of sessions: who is behind a cookie, how sessions begin and end, and which browsers are known."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from litestar.datastructures import Cookie
from sqlalchemy import ColumnElement, Select, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import roles
from app.core.database import Database, Plane, scope_of
from app.core.direct import Lookups
from app.core.errors import Conflict, Forbidden, NotFound
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import COOKIE, Actor, Impersonator, Membership, Permission
from app.core.queries import at_once, text_of
from app.core.secrets import Secret, digest, new_secret
from app.core.settings import Settings
from app.modules.audit.service import record
from app.modules.sessions.models import Session, UserDevice
from app.modules.sessions.schemas import (
    DeviceRead,
    Revocations,
    Revoked,
    SessionFilter,
    SessionPage,
    SessionRead,
    State,
    read_device,
    read_session,
)

__all__ = [
    "SORTS",
    "TOPIC",
    "Begun",
    "Browser",
    "DeviceRead",
    "Revocations",
    "Revoked",
    "Session",
    "SessionBook",
    "SessionFilter",
    "SessionPage",
    "SessionRead",
    "Sessions",
    "State",
    "UserDevice",
    "end_all",
    "forget_expired",
    "read_device",
    "read_session",
    "session_cookie",
]
TOPIC = "users"
"""What the lists of people and of their sessions listen to."""
LASTS = timedelta(hours=12)
_ANY = SessionFilter()
SORTS = Sorts("-createdAt", {"createdAt": Session.id, "lastSeenAt": Session.last_seen_at})
_SESSIONS = """
    SELECT a.place, s.session_id, s.user_id, s.email, s.role, s.confirmed_at, r.person_id, r.person, r.until,
        r.memberships, r.tenant_id, r.slug, r.tenant, r.status, r.role, r.rights
    FROM unnest($1::bytea[], $2::text[]) WITH ORDINALITY a(hash, slug, place), LATERAL public.teknav_session(a.hash) s
        LEFT JOIN LATERAL public.teknav_rights(a.hash, a.slug) r ON true
"""
_NAMES = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
_SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "Mac OS": "macOS",
    "Linux": "Linux",
}
_OPEN = Session.revoked_at.is_(None)


class _Found(NamedTuple):
    """An open session, and what it may do under the address of the tenant that was asked for, if it is one's member."""

    session_id: UUID
    user_id: UUID
    email: str
    platform_role: str
    confirmed_at: datetime | None
    person_id: UUID | None
    person: str
    until: datetime
    memberships: list[list[str]] | None
    tenant_id: UUID | None
    slug: str
    tenant: str
    status: str
    role: str | None
    rights: list[dict[str, Any]]


class Sessions:
    """Finds who sent a cookie and what this person may do, without a role; those who come together in one statement.

    The functions it calls belong to `teknav_system`, check that the session goes on, and note that it was used.
    """

    def __init__(self, database: Database, permissions: Mapping[str, Permission]) -> None:
        self._lookups = Lookups(database.engine(Plane.TENANT), _SESSIONS)
        self._known = permissions

    async def actor(self, cookie: str, slug: str | None = None) -> Actor | None:
        """
        Args:
            slug: the tenant under whose address the request came, None outside of those.

        Raises:
            Forbidden (`tenant_suspended`): to a member of that tenant.
        """
        found = await self._lookups.find(digest(cookie), slug)
        if found is None:
            return None
        row = _Found(*found)
        platform = roles.of_platform(self._known, row.platform_role)
        memberships = tuple(Membership(slug, name) for slug, name in row.memberships or ())
        person = Actor(
            "user",
            row.user_id,
            row.email,
            frozenset(),
            Plane.SYSTEM,
            session=str(row.session_id),
            memberships=memberships,
            confirmed_at=row.confirmed_at,
        )
        if row.person_id is not None:
            if roles.IMPERSONATE not in platform:
                return person  # the right was taken away in the meantime
            who = Impersonator(row.user_id, row.email, row.until)
            person = replace(person, id=row.person_id, label=row.person, impersonator=who)
        elif slug is None and platform:
            role = roles.PLATFORM[row.platform_role]
            return replace(person, permissions=platform, plane=Plane.PLATFORM, role=role)
        return person if row.tenant_id is None else self._member(person, row)

    def _member(self, person: Actor, row: _Found) -> Actor:
        assert row.tenant_id is not None
        if row.status != "active":
            raise Forbidden("This tenant is suspended", code="tenant_suspended")
        everywhere: set[str] = set()
        within: dict[UUID, set[str]] = {}
        for each in row.rights:
            names = roles.of_member(self._known, each["builtIn"], each["permissions"])
            if person.impersonator is not None:
                names = frozenset(name for name in names if name.endswith(roles.READS))
            if each["workspace"] is None:
                everywhere |= names
            else:
                divisible = {name for name in names if self._known[name].workspace}
                within.setdefault(UUID(each["workspace"]), set()).update(divisible)
        return replace(
            person,
            permissions=frozenset(everywhere),
            plane=Plane.TENANT,
            tenant_id=row.tenant_id,
            role=row.role or "Member",
            workspaces=tuple((workspace, frozenset(names)) for workspace, names in within.items()),
            tenant=Membership(row.slug, row.tenant),
        )


class Browser(NamedTuple):
    """Who knocks: its address, what it calls itself, and the secret that it is known by from an earlier sign-in."""

    address: str | None
    agent: str | None
    device: str | None = None

    @property
    def label(self) -> str:
        """What it calls itself, in a few words: "Firefox on Linux"."""
        said = self.agent or ""
        name = next((word for sign, word in _NAMES.items() if f"{sign}/" in said), None)
        system = next((word for sign, word in _SYSTEMS.items() if sign in said), None)
        if name is None:
            return "".join(sign for sign in said if sign.isprintable())[:60] or "An unnamed browser"
        return f"{name} on {system}" if system else name


class Begun(NamedTuple):
    """A session that began in a browser, with the secrets that it keeps: the session's, and its own where it is new."""

    secret: Secret
    device_secret: Secret | None
    device: UserDevice
    strange: bool
    """The browser is new, and the person had others before."""


class SessionBook:
    """Where people are signed in, and which of their browsers are known."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def search(
        self,
        pager: Pager,
        user_id: UUID | None = None,
        wanted: SessionFilter = _ANY,
        *,
        among: Select[tuple[UUID]] | None = None,
        of: str = "",
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[Session]:
        """Of one person or of all, or of those `among`, which `of` names.

        Raises:
            Invalid (`device`).
        """
        device = text_of("device", wanted.device)
        query = select(Session).where(*_in_state(wanted.state))
        query = query.where(Session.user_id == user_id) if user_id is not None else query
        query = query.where(Session.user_id.in_(among)) if among is not None else query
        if device:
            named = select(UserDevice.id).where(UserDevice.label.icontains(device, autoescape=True))
            said = Session.user_agent.icontains(device, autoescape=True)
            query = query.where(or_(said, Session.device_id.in_(named)))
        return await pager.page(
            self._session,
            query,
            key=Session.id,
            of=f"sessions {user_id} {of} {wanted.state} {device}",
            limit=limit,
            cursor=cursor,
            sorts=SORTS,
        )

    @property
    def here(self) -> UUID:
        """The session that is in use.

        Raises:
            Conflict (`no_session`): the actor did not come with one.
        """
        if self._actor.session is None:
            raise Conflict("Nobody is signed in here", code="no_session")
        return UUID(self._actor.session)

    async def begin(self, user_id: UUID, browser: Browser, *, instead_of: UUID | None = None) -> Begun:
        """A session of the person in a browser that has just proved who it is; the one that it had there ends."""
        if instead_of is not None:
            await _end(self._session, Session.id == instead_of)
        device, device_secret, strange = await self._know(user_id, browser)
        secret, now = new_secret(), datetime.now(UTC)
        row = Session(
            id=new_id(),
            token_hash=digest(secret),
            user_id=user_id,
            device_id=device.id,
            expires_at=now + LASTS,
            confirmed_at=now,
            last_seen_at=now,
            ip=browser.address,
            user_agent=browser.agent,
        )
        self._session.add(row)
        await record(self._session, self._actor, "session.create", resource=self._resource(row.id))
        return Begun(secret, device_secret, device, strange)

    async def rotate(self) -> Secret:
        """Give the session that is in use another secret; it stays the same session."""
        secret = new_secret()
        query = update(Session).where(Session.id == self.here)
        await self._session.execute(query.values(token_hash=digest(secret)))
        return secret

    async def confirm(self) -> None:
        """Note that the person has just proved again who it is."""
        await self._session.execute(update(Session).where(Session.id == self.here).values(confirmed_at=func.now()))
        await record(self._session, self._actor, "session.confirm", resource=self._resource(self.here))

    async def end(self) -> None:
        """End the session that is in use, at once.

        Raises:
            Conflict (`no_session`).
        """
        await _end(self._session, Session.id == self.here)
        await record(self._session, self._actor, "session.end", resource=self._resource(self.here))

    async def revoke(self, session_id: UUID, user_id: UUID | None = None) -> None:
        """End a session, at once; with `user_id` only one of that person.

        Raises:
            NotFound: there is no such open session.
        """
        which = (Session.id == session_id, *((Session.user_id == user_id,) if user_id else ()))
        ended = await _end(self._session, *which)
        if not ended:
            raise NotFound("There is no such session")
        await self._trace("session.revoke", session_id, ended[0])

    async def revoke_many(self, ids: Collection[UUID]) -> int:
        """End these sessions, at once; returns how many were open. Others are passed over.

        Raises:
            Invalid (`ids`): none or too many. NotFound: none of them is open.
        """
        ended = 0
        for session_id in sorted(at_once(ids)):
            for whose in await _end(self._session, Session.id == session_id):
                await self._trace("session.revoke", session_id, whose)
                ended += 1
        if not ended:
            raise NotFound("There is no such session")
        return ended

    async def revoke_others(self, user_id: UUID, keep: UUID | None) -> int:
        """End all of a person's sessions but one; returns how many ended."""
        which = (Session.user_id == user_id, *((Session.id != keep,) if keep else ()))
        ended = await _end(self._session, *which)
        if ended:
            await self._trace("session.revoke_others", user_id, user_id, after={"sessions_ended": len(ended)})
        return len(ended)

    async def devices(self, user_id: UUID) -> Sequence[UserDevice]:
        """Known browsers, the last used first; at most a hundred."""
        query = select(UserDevice).where(UserDevice.user_id == user_id).order_by(UserDevice.last_seen_at.desc())
        return (await self._session.scalars(query.limit(100))).all()

    async def forget_device(self, device_id: UUID, user_id: UUID) -> None:
        """End a device's sessions, and take its next sign-in for a new device's.

        Raises:
            NotFound: the person has no such device.
        """
        device = await self._session.get(UserDevice, device_id)
        if device is None or device.user_id != user_id:
            raise NotFound("There is no such device")
        await _end(self._session, Session.device_id == device_id)
        await self._session.delete(device)
        await self._session.flush()
        await self._trace("account.device.forget", device_id, user_id, kind="device")

    async def _know(self, user_id: UUID, browser: Browser) -> tuple[UserDevice, Secret | None, bool]:
        """The browser's row; its secret where it is new; whether it is new beside others."""
        now = datetime.now(UTC)
        theirs = select(UserDevice).where(UserDevice.user_id == user_id)
        if browser.device:
            query = theirs.where(UserDevice.token_hash == digest(browser.device)).with_for_update()
            if (device := await self._session.scalar(query)) is not None:
                device.last_seen_at, device.ip, device.label = now, browser.address, browser.label
                return device, None, False
        others = await self._session.scalar(theirs.limit(1)) is not None
        secret = new_secret()
        device = UserDevice(
            id=new_id(),
            user_id=user_id,
            token_hash=digest(secret),
            label=browser.label,
            ip=browser.address,
            last_seen_at=now,
        )
        self._session.add(device)
        await self._session.flush()
        return device, secret, others

    def _resource(self, id_: UUID, kind: str = "session") -> tuple[str, UUID, str]:
        return (kind, id_, self._actor.label)

    async def _trace(
        self, action: str, id_: UUID, user_id: UUID, *, kind: str = "session", after: dict[str, object] | None = None
    ) -> None:
        await record(self._session, self._actor, action, resource=self._resource(id_, kind), after=after)
        signal(self._session, TOPIC, user_id, scope_of(self._session).tenant_id)


def _in_state(state: State) -> list[ColumnElement[bool]]:
    if state == "ended":
        return [Session.revoked_at.is_not(None)]
    return [_OPEN, Session.expires_at > func.now() if state == "open" else Session.expires_at <= func.now()]


async def end_all(session: AsyncSession, user_id: UUID) -> int:
    """End a person's sessions, at once, as a part of something else that the caller records; returns how many ended."""
    return len(await _end(session, Session.user_id == user_id))


async def forget_expired(session: AsyncSession, before: datetime) -> int:
    """Delete sessions that expired before; returns how many."""
    gone = await session.execute(delete(Session).where(Session.expires_at < before))
    return int(getattr(gone, "rowcount", 0))


async def _end(session: AsyncSession, *which: ColumnElement[bool]) -> list[UUID]:
    """End the open sessions that fit; returns whose they were."""
    query = update(Session).where(_OPEN, *which).values(revoked_at=func.now())
    return list((await session.scalars(query.returning(Session.user_id))).all())


def session_cookie(secret: Secret | None, settings: Settings) -> Cookie:
    """The cookie that holds a session's secret; with None, one that takes it away."""
    lasts = int(LASTS.total_seconds()) if secret else 0
    secure = settings.secure_cookies
    return Cookie(COOKIE, value=str(secret or ""), max_age=lasts, httponly=True, samesite="lax", secure=secure)
