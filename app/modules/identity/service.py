"""The rules of the front door: who may enter, how they prove who they are, and for how long."""

import asyncio
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Request
from litestar.datastructures import Cookie
from pwdlib import PasswordHash
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import roles
from app.core.database import SYSTEM, Database, Plane
from app.core.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, Problem, Unauthenticated
from app.core.ids import new_id
from app.core.policy import COOKIE, Actor, Impersonator, Membership, Permission, actor_of
from app.core.secrets import Secret, digest, new_secret
from app.core.settings import Settings
from app.modules.audit.service import record
from app.modules.email.service import Letter, send
from app.modules.factors.service import OneTimeCodes, Proof, Purpose, SecondFactor
from app.modules.identity import repository
from app.modules.identity.models import OwnerLink
from app.modules.people.service import (
    People,
    Session,
    SessionBook,
    User,
    UserDevice,
    owner_exists,
    plain_email,
    user_by_email,
)

T = TypeVar("T")
SESSION_LASTS = timedelta(hours=12)
LINK_LASTS = timedelta(minutes=30)
MIN_PASSWORD, MAX_PASSWORD = 12, 1024
MAX_NAME = 120
FAILURES_PER_ACCOUNT, FAILURES_PER_ADDRESS = 10, 50
DEVICE_COOKIE = "teknav_device"
ANONYMOUS = Actor("anonymous", None, "not signed in", frozenset(), Plane.SYSTEM)
_NO_ACCOUNT = "not an e-mail address"
_SESSION = text("""
    SELECT s.session_id, s.user_id, s.email, s.role AS platform_role, s.confirmed_at, r.*
    FROM public.teknav_session(:hash) s LEFT JOIN public.teknav_rights(:hash, :slug) r ON true
""")
# Argon2 wants 64 MB and a core for each password: two at a time, whoever knocks.
_THREADS = ThreadPoolExecutor(2, "argon2")
_ARGON2 = PasswordHash.recommended()
# What people take when they are asked for twelve characters and think of none.
_COMMON = (
    *("password", "passwort", "qwertyuiop", "qwerty", "asdfghjkl", "asdf", "zxcvbnm", "letmein", "welcome", "admin"),
    *("administrator", "iloveyou", "teknav", "dragon", "monkey", "football", "sunshine", "princess", "secret", "login"),
    *("abc", "abcdefghijklmnopqrstuvwxyz", "changeme", "trustno", "superman", "whatever", "computer", "internet"),
)


class LinkExpired(Problem):
    status, code, title = 410, "link_expired", "This link no longer works"


class TooManySignIns(Problem):
    status, code, title = 429, "too_many_sign_ins", "Too many failed sign-ins; wait and try again"


class Entered(NamedTuple):
    """Somebody is in: the secret of the session, that of the browser where it is new, and who it is."""

    secret: Secret
    device: Secret | None
    actor: Actor


class Asked(NamedTuple):
    """The first proof was right, and a second one is wanted: `ticket` goes with it."""

    ticket: str


class Sessions:
    """Finds who sent a cookie and what this person may do, in one statement and without a role.

    The functions it calls belong to `teknav_system`, check that the session goes on, and note that it was used.
    """

    def __init__(self, database: Database, permissions: Mapping[str, Permission]) -> None:
        self._engine = database.engine(Plane.TENANT).execution_options(isolation_level="AUTOCOMMIT")
        self._known = permissions

    async def actor(self, cookie: str, slug: str | None = None) -> Actor | None:
        """
        Args:
            slug: the tenant under whose address the request came, None outside of those.

        Raises:
            Forbidden (`tenant_suspended`): to a member of that tenant.
        """
        async with self._engine.connect() as connection:
            row = (await connection.execute(_SESSION, {"hash": digest(cookie), "slug": slug})).one_or_none()
        if row is None:
            return None
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

    def _member(self, person: Actor, row: Any) -> Actor:
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


class IdentityService:
    """What people do with their credentials, in the caller's transaction."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def create_owner(self, email: str, password: str) -> User:
        """
        Raises:
            Invalid: naming `email` or `password`. Conflict (`email_taken`): there is an account with that e-mail.
        """
        hashed = await hash_password(password, email)
        return await _add_owner(self._session, self._actor, email, hashed)

    async def register(self, email: str, password: str, name: str = "") -> User:
        """Make an ordinary account. The caller has seen that the address is the person's own.

        Raises:
            Invalid: naming `email`, `name` or `password`. Conflict (`email_taken`).
        """
        hashed = await hash_password(password, email)
        return await _add_person(self._session, self._actor, email, name, hashed)

    async def change_password(self, password: str) -> Secret:
        """Give the signed-in person, whom `SignIn.confirm` has asked, another password. Other sessions of it end.

        Returns:
            the new secret of this session: the one that the cookie has is no longer good.

        Raises:
            Invalid (`password`): it is too short, too long or too common.
        """
        assert self._actor.session is not None and self._actor.id is not None
        hashed = await hash_password(password, self._actor.label)
        user = await People(self._session, self._actor).get(self._actor.id, lock=True)
        await self._set_password(user, hashed, keep=UUID(self._actor.session))
        return await self.rotate()

    async def reset_password(self, email: str, password: str) -> User:
        """For the command line: another password without knowing the one before. All sessions of the person end.

        Raises:
            NotFound: nobody has this e-mail. Invalid: naming `password`.
        """
        hashed = await hash_password(password, email)
        user = await user_by_email(self._session, email)
        if user is None:
            raise NotFound("There is no account with this e-mail")
        await self._set_password(user, hashed)
        return user

    async def rotate(self) -> Secret:
        """Give the actor's session another secret; it stays the same session."""
        assert self._actor.session is not None
        secret = new_secret()
        query = update(Session).where(Session.id == UUID(self._actor.session))
        await self._session.execute(query.values(token_hash=digest(secret)))
        return secret

    async def _set_password(self, user: User, hashed: str, *, keep: UUID | None = None) -> None:
        user.password_hash = hashed
        await self._session.flush()
        await record(self._session, self._actor, "owner.password.change", resource=("user", user.id, user.email))
        await SessionBook(self._session, self._actor).revoke_others(user.id, keep)

    async def sign_out(self) -> None:
        """End the actor's session, at once.

        Raises:
            Conflict: the actor did not come with one.
        """
        if self._actor.session is None:
            raise Conflict("There is no session to end", code="no_session")
        await _end(self._session, self._actor.session)
        resource = ("session", self._actor.session, self._actor.label)
        await record(self._session, self._actor, "session.end", resource=resource)


class OwnerLinks:
    """Links by which the first owner comes in. Once there is an owner, there are none."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def issue(self) -> Secret | None:
        """The secret of a new link, good once within 30 minutes; None when there is an owner."""
        if await owner_exists(self._session):
            return None
        secret = new_secret("own_")
        self._session.add(OwnerLink(token_hash=digest(secret), expires_at=datetime.now(UTC) + LINK_LASTS))
        return secret

    async def check(self, secret: str, *, lock: bool = False) -> OwnerLink:
        """
        Raises:
            LinkExpired: it is unknown, used or too old, or there is an owner by now.
        """
        link = await repository.open_link(self._session, digest(secret), lock=lock)
        if link is None or await owner_exists(self._session):
            raise LinkExpired
        return link


class SignIn:
    """The doors to a session. Each opens transactions of its own, so that none waits for argon2.

    Args:
        address: where the caller comes from.
        agent: the caller's browser, as it calls itself.
        device: the secret by which this browser is known, if it is.
        instead_of: the session that the browser came with; it ends where another one begins.
    """

    def __init__(
        self,
        database: Database,
        address: str | None,
        agent: str | None,
        *,
        device: str | None = None,
        instead_of: str | None = None,
    ) -> None:
        self._database = database
        self._address = address
        self._agent = agent
        self._device = device
        self._instead_of = instead_of

    @classmethod
    def of(cls, request: Request[Any, Any, Any]) -> "SignIn":
        """The door that a request stands at."""
        address: str | None = request.scope.get("client_address")  # type: ignore[assignment]
        actor = actor_of(request)
        return cls(
            request.app.state.database,
            address,
            request.headers.get("user-agent"),
            device=request.cookies.get(DEVICE_COOKIE),
            instead_of=actor.session if actor else None,
        )

    async def with_password(self, email: str, password: str) -> Entered | Asked:
        """
        Raises:
            Unauthenticated: without saying which of the two is wrong. TooManySignIns: with `Retry-After`.
        """
        # The rows of a caller who is signed in are written under its own name, as those of other refused requests.
        return await self._let_in(await self._examine(email, password, trace=self._instead_of is None))

    async def with_second_factor(self, ticket: str, code: str) -> Entered:
        """Finish what was `Asked` for, with a code of the authenticator app or a recovery code.

        Raises:
            LinkExpired: the ticket is old, or was tried five times. Invalid (`code`). TooManyCodes.
        """
        async with self._database.transaction(SYSTEM) as session:
            codes = OneTimeCodes(session, self._address)
            proof = await codes.try_ticket("second_factor", ticket)
            right = await SecondFactor(session, proof.user_id).check(code) if proof and proof.user_id else False
            if right:
                await codes.redeem("second_factor", ticket)
        if proof is None:
            raise LinkExpired("This took too long, or too many codes were wrong: sign in again")
        user = await self._person(proof)
        if not right or user is None:
            if user is not None:
                await self._trace_refusal(user)
            raise Invalid.field("code", "is not the code that the app shows now")
        return await self._enter(user)

    async def ask(self, purpose: Purpose, email: str) -> str:
        """Mail a code or link to whoever has this address, if anybody; the answer is the same either way.

        Returns:
            the ticket to type the code beside.

        Raises:
            Invalid (`email`): it is not an address. TooManyCodes.
        """
        found = plain_email(email)
        async with self._database.transaction(SYSTEM) as session:
            user = await user_by_email(session, found)
            known = user is not None and user.disabled_at is None
            if purpose == "register":
                ticket = await OneTimeCodes(session, self._address).issue(purpose, found, None, mail=user is None)
                if known:
                    hour = f"{datetime.now(UTC):%Y%m%d%H}"
                    await send(session, Letter(template="known", to=found, key=f"known:{found}:{hour}"))
                return ticket
            id_ = user.id if user is not None and known else None
            return await OneTimeCodes(session, self._address).issue(purpose, found, id_, mail=known)

    async def with_code(self, ticket: str, code: str) -> Entered | Asked:
        """Enter with a code that came by mail.

        Raises:
            Invalid (`code`): it is wrong, or no longer good.
        """
        async with self._database.transaction(SYSTEM) as session:
            proof = await OneTimeCodes(session, self._address).redeem_code("sign_in", ticket, code)
        user = await self._person(proof) if proof else None
        if user is None:
            raise Invalid.field("code", "is wrong, or no longer good")
        return await self._let_in(user)

    async def look(self, purpose: Purpose, ticket: str) -> Proof:
        """Whom a link is for; it stays good.

        Raises:
            LinkExpired.
        """
        async with self._database.transaction(SYSTEM) as session:
            proof = await OneTimeCodes(session).look(purpose, ticket)
        if proof is None:
            raise LinkExpired
        return proof

    async def with_mail_link(self, ticket: str) -> Entered | Asked:
        """
        Raises:
            LinkExpired.
        """
        async with self._database.transaction(SYSTEM) as session:
            proof = await OneTimeCodes(session).redeem("sign_in", ticket)
        user = await self._person(proof) if proof else None
        if user is None:
            raise LinkExpired
        return await self._let_in(user)

    async def set_password(self, purpose: Purpose, ticket: str, password: str) -> None:
        """Set a password with a link that came by mail. All sessions of the person end.

        Raises:
            LinkExpired. Invalid (`password`).
        """
        before = await self.look(purpose, ticket)
        hashed = await hash_password(password, before.email)
        async with self._database.transaction(SYSTEM) as session:
            proof = await OneTimeCodes(session).redeem(purpose, ticket)
            user = await session.get(User, proof.user_id, with_for_update=True) if proof and proof.user_id else None
            if user is None or user.disabled_at is not None or user.email != before.email:
                raise LinkExpired
            user.password_hash = hashed
            await session.flush()
            actor = _actor(user)
            await record(session, actor, "account.password.reset", resource=("user", user.id, user.email))
            await SessionBook(session, actor).revoke_others(user.id, None)

    async def register(self, ticket: str, name: str, password: str) -> Entered:
        """Make the account that a link by mail is for, and enter.

        Raises:
            LinkExpired. Invalid: naming `name` or `password`. Conflict (`email_taken`).
        """
        before = await self.look("register", ticket)
        hashed = await hash_password(password, before.email)
        async with self._database.transaction(SYSTEM) as session:
            if await OneTimeCodes(session).redeem("register", ticket) is None:
                raise LinkExpired
            user = await _add_person(session, ANONYMOUS, before.email, name, hashed)
        return await self._enter(user)

    async def confirm(self, actor: Actor, password: str) -> None:
        """Whether a signed-in person is who signed in; wrong answers count as failed sign-ins.

        Raises:
            Invalid (`current`): it is not the password. TooManySignIns. Conflict (`no_session`): nobody signed in.
        """
        if actor.session is None:
            raise Conflict("Only a signed-in person has a password to change", code="no_session")
        try:
            user = await self._examine(actor.label, password, trace=False)
        except Unauthenticated:
            raise Invalid.field("current", "is not your password") from None
        async with self._database.transaction(SYSTEM) as session:
            await repository.forgive_sign_in(session, self._place, user.email)

    async def step_up(self, actor: Actor, proof: str) -> None:
        """Confirm that it is still the person: with the password, or with a code where there is a second factor.

        Raises:
            Invalid (`proof`). TooManySignIns, TooManyCodes. Conflict (`no_session`).
        """
        if actor.session is None or actor.id is None:
            raise Conflict("Only a signed-in person can confirm this", code="no_session")
        typed = "".join(proof.split())
        right = False
        if re.fullmatch(r"\d{6}", typed):
            async with self._database.transaction(SYSTEM) as session:
                right = await SecondFactor(session, actor.id).check(typed)
        if not right:
            try:
                await self.confirm(actor, proof)
            except Invalid:
                raise Invalid.field("proof", "is not your password, nor a code that your app shows now") from None
        async with self._database.transaction(SYSTEM) as session:
            query = update(Session).where(Session.id == UUID(actor.session))
            await session.execute(query.values(confirmed_at=func.now()))
            await record(session, actor, "session.confirm", resource=("session", actor.session, actor.label))

    async def with_link(self, link: str, email: str, password: str) -> Entered:
        """Make the first owner, and sign in as that.

        Raises:
            LinkExpired; Invalid: naming `email` or `password`.
        """
        async with self._database.transaction(SYSTEM) as session:
            await OwnerLinks(session).check(link)
        hashed = await hash_password(password, email)
        async with self._database.transaction(SYSTEM) as session:
            await repository.lock_first_owner(session)
            used = await OwnerLinks(session).check(link, lock=True)
            used.used_at = datetime.now(UTC)
            user = await _add_owner(session, None, email, hashed)
        return await self._enter(user)

    @property
    def _place(self) -> str:
        return self._address or "unknown"

    async def _person(self, proof: Proof) -> User | None:
        """Whose proof it is, where that person may enter and still has the address that it was sent to."""
        if proof.user_id is None:
            return None
        async with self._database.transaction(SYSTEM) as session:
            user = await session.get(User, proof.user_id)
        return user if user is not None and user.disabled_at is None and user.email == proof.email else None

    async def _examine(self, email: str, password: str, *, trace: bool) -> User:
        """Count the try, then look at the password.

        Raises:
            TooManySignIns, Unauthenticated: with `trace`, a row in the audit log tells of it.
        """
        async with self._database.transaction(SYSTEM) as session:
            try:
                account = plain_email(email)
            except Invalid:
                account = _NO_ACCOUNT
            failures = await repository.count_sign_in(session, self._place, account)
            user = await user_by_email(session, account)
        try:
            return await _examine(failures, user, password)
        except Problem:
            # The counter bounds these rows.
            if trace and failures.account <= FAILURES_PER_ACCOUNT + 1:
                await self._trace_refusal(user)
            raise

    async def _trace_refusal(self, user: User | None) -> None:
        """For an unknown account the row is taken back, so that both take as long; neither waits for the disk."""
        resource = ("user", user.id if user else None, user.email if user else None)
        async with self._database.transaction(SYSTEM) as session:
            await session.execute(text("SET LOCAL synchronous_commit = off"))
            await record(session, ANONYMOUS, "session.create", resource=resource, outcome="denied")
            if user is None:
                await session.flush()
                await session.rollback()

    async def _let_in(self, user: User) -> Entered | Asked:
        """Enter, or ask for the second factor where the person has one."""
        async with self._database.transaction(SYSTEM) as session:
            if await SecondFactor(session, user.id).is_on():
                codes = OneTimeCodes(session, self._address)
                return Asked(await codes.issue("second_factor", user.email, user.id, mail=False))
        return await self._enter(user)

    async def _enter(self, user: User) -> Entered:
        actor = _actor(user)
        async with self._database.transaction(SYSTEM) as session:
            await repository.forgive_sign_in(session, self._place, user.email)
            if self._instead_of is not None:
                await _end(session, self._instead_of)
            device, fresh = await self._know_device(session, user)
            secret, now = new_secret(), datetime.now(UTC)
            row = Session(
                id=new_id(),
                token_hash=digest(secret),
                user_id=user.id,
                device_id=device.id,
                expires_at=now + SESSION_LASTS,
                confirmed_at=now,
                ip=self._address,
                user_agent=self._agent,
            )
            session.add(row)
            await record(session, actor, "session.create", resource=("session", row.id, actor.label))
        return Entered(secret, fresh, actor)

    async def _know_device(self, session: AsyncSession, user: User) -> tuple[UserDevice, Secret | None]:
        """The browser's row, and its secret where it is new; a person who had others is told of a new one."""
        now = datetime.now(UTC)
        others = select(UserDevice).where(UserDevice.user_id == user.id)
        if self._device:
            known = await session.scalar(others.where(UserDevice.token_hash == digest(self._device)).with_for_update())
            if known is not None:
                known.last_seen_at, known.ip, known.label = now, self._address, browser(self._agent)
                return known, None
        had = await session.scalar(others.limit(1))
        secret = new_secret()
        device = UserDevice(
            id=new_id(),
            user_id=user.id,
            token_hash=digest(secret),
            label=browser(self._agent),
            ip=self._address,
            last_seen_at=now,
        )
        session.add(device)
        await session.flush()
        if had is not None:
            profile = await People(session, ANONYMOUS).profile(user.id)
            props = {
                "at": f"{now.astimezone(ZoneInfo(profile.timezone)):%Y-%m-%d %H:%M} ({profile.timezone})",
                "device": device.label,
                "address": self._address or "unknown",
            }
            await send(session, Letter(template="new_device", to=user.email, props=props))
        return device, secret


def session_cookie(secret: Secret | None, settings: Settings) -> Cookie:
    """The cookie that holds a session's secret; with None, one that takes it away."""
    lasts = int(SESSION_LASTS.total_seconds()) if secret else 0
    secure = settings.secure_cookies
    return Cookie(COOKIE, value=str(secret or ""), max_age=lasts, httponly=True, samesite="lax", secure=secure)


def browser(agent: str | None) -> str:
    """What a browser calls itself, in a few words: "Firefox on Linux"."""
    said = agent or ""
    names = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
    systems = {"iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Windows": "Windows", "Mac OS": "macOS"}
    name = next((word for sign, word in names.items() if f"{sign}/" in said), None)
    system = next((word for sign, word in (systems | {"Linux": "Linux"}).items() if sign in said), None)
    if name is None:
        return "".join(sign for sign in said if sign.isprintable())[:60] or "An unnamed browser"
    return f"{name} on {system}" if system else name


async def _end(session: AsyncSession, session_id: str) -> None:
    query = update(Session).where(Session.id == UUID(session_id), Session.revoked_at.is_(None))
    await session.execute(query.values(revoked_at=func.now()))


async def _examine(failures: repository.Failures, user: User | None, password: str) -> User:
    """
    Raises:
        TooManySignIns, Unauthenticated.
    """
    if failures.account > FAILURES_PER_ACCOUNT or failures.address > FAILURES_PER_ADDRESS:
        wait = max(1, round((failures.until - datetime.now(UTC)).total_seconds()))
        minutes = f"{-(-wait // 60)} minutes" if wait > 60 else "a minute"
        raise TooManySignIns(
            f"Too many failed sign-ins: wait {minutes}, then try again", headers={"Retry-After": str(wait)}
        )
    right = await _in_thread(_matches, password, user.password_hash if user else None)
    if not right or user is None or user.disabled_at is not None:
        raise Unauthenticated("E-mail or password is wrong", code="bad_credentials")
    return user


def _actor(user: User) -> Actor:
    plane = Plane.PLATFORM if user.role in roles.PLATFORM else Plane.SYSTEM
    return Actor("user", user.id, user.email, frozenset(), plane)


async def _add_owner(session: AsyncSession, actor: Actor | None, email: str, hashed: str) -> User:
    user = await People(session, actor or ANONYMOUS).add(
        email, email.strip().partition("@")[0], role="owner", password_hash=hashed
    )
    after = {"email": user.email, "role": user.role}
    await record(session, actor or _actor(user), "owner.create", resource=("user", user.id, user.email), after=after)
    return user


async def _add_person(session: AsyncSession, actor: Actor, email: str, name: str, hashed: str) -> User:
    people = People(session, actor)
    user = await people.add(email, name.strip() or email.strip().partition("@")[0], password_hash=hashed)
    who = _actor(user) if actor.kind == "anonymous" else actor
    after = {"email": user.email, "name": user.name}
    await record(session, who, "account.register", resource=("user", user.id, user.email), after=after)
    return user


async def hash_password(password: str, email: str) -> str:
    """The argon2 hash of a new password, once it was found good enough. Call it before the transaction begins.

    Raises:
        Invalid: naming `email` or `password`, or both.
    """
    errors = []
    try:
        address = plain_email(email)
    except Invalid as error:
        address = ""
        errors += error.errors
    if wrong := _weakness(password, address):
        errors.append(FieldError("password", wrong))
    if errors:
        raise Invalid("; ".join(f"{error.field} {error.message}" for error in errors), errors=errors)
    return await _in_thread(_ARGON2.hash, password)


def _weakness(password: str, email: str) -> str | None:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        return f"must have {MIN_PASSWORD} to {MAX_PASSWORD} characters"
    lower = password.lower()
    local = email.partition("@")[0]
    if email and (email in lower or (len(local) > 3 and lower.replace(local, "").strip("0123456789!?.-_@# ") == "")):
        return "must not be your e-mail address"
    letters = re.sub(r"[\W\d_]+", "", lower)
    digits = re.sub(r"\D", "", lower)
    if len(set(lower)) < 5 or (not letters and digits in "0123456789" * 4 + "9876543210" * 4):
        return "is too easy to guess: use more different characters"
    if letters and any(not letters.replace(word, "") for word in _COMMON):
        return "is too easy to guess: use a few words that do not belong together"
    return None


async def _in_thread(work: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work, *arguments)


def _matches(password: str, hashed: str | None) -> bool:
    # An unknown e-mail takes as long as a wrong password, or it would tell which accounts exist.
    decoy = _decoy()
    return _ARGON2.verify(password, hashed or decoy) and hashed is not None


@cache
def _decoy() -> str:
    return _ARGON2.hash(new_secret())
