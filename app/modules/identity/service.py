"""The rules of identity: who may enter, and for how long."""

import asyncio
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from pwdlib import PasswordHash
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database, Plane
from app.core.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, Problem, Unauthenticated
from app.core.ids import new_id
from app.core.policy import Actor, Permission
from app.core.secrets import Secret, digest, new_secret
from app.modules.audit.service import record
from app.modules.identity import repository
from app.modules.identity.models import OwnerLink, Session, User

T = TypeVar("T")
SESSION_LASTS = timedelta(hours=12)
LINK_LASTS = timedelta(minutes=30)
MIN_PASSWORD, MAX_PASSWORD = 12, 1024
FAILURES_PER_ACCOUNT, FAILURES_PER_ADDRESS = 10, 50
ANONYMOUS = Actor("anonymous", None, "not signed in", frozenset(), Plane.SYSTEM)
_NO_ACCOUNT = "not an e-mail address"
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,255}")
_SESSION = text("SELECT session_id, user_id, email, role FROM public.teknav_session(:hash)")
# Argon2 wants 64 MB and a core for each password: two at a time, whoever knocks.
_THREADS = ThreadPoolExecutor(2, "argon2")
_ARGON2 = PasswordHash.recommended()


class LinkExpired(Problem):
    status, code, title = 410, "link_expired", "This link no longer works"


class TooManySignIns(Problem):
    status, code, title = 429, "too_many_sign_ins", "Too many failed sign-ins; wait and try again"


class Sessions:
    """Finds who sent a cookie, in one statement and without a role.

    The function it calls belongs to `teknav_system`, checks that the session goes on, and notes that it was used.
    """

    def __init__(self, database: Database, permissions: Mapping[str, Permission]) -> None:
        self._engine = database.engine(Plane.TENANT).execution_options(isolation_level="AUTOCOMMIT")
        self._every = frozenset(permissions)

    async def actor(self, cookie: str) -> Actor | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(_SESSION, {"hash": digest(cookie)})).one_or_none()
        if row is None or row.role != "owner":
            return None
        return Actor("user", row.user_id, row.email, self._every, Plane.PLATFORM, session=str(row.session_id))


class IdentityService:
    """People and their sessions, in the caller's transaction."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def create_owner(self, email: str, password: str) -> User:
        """
        Raises:
            Invalid: naming `email` or `password`. Conflict (`email_taken`): there is an account with that e-mail.
        """
        return await _add_owner(self._session, self._actor, await _new_owner(email, password))

    async def change_password(self, password: str) -> None:
        """Give the signed-in person, whom `SignIn.confirm` has asked, another password. Other sessions of it end.

        Raises:
            Invalid (`password`): it is too short or too long.
        """
        assert self._actor.session is not None
        user = await self._session.get_one(User, self._actor.id)
        await self._set_password(user, password, keep=UUID(self._actor.session))

    async def reset_password(self, email: str, password: str) -> User:
        """For the command line: another password without knowing the one before. All sessions of the person end.

        Raises:
            NotFound: nobody has this e-mail. Invalid: naming `password`.
        """
        user = await repository.user_by_email(self._session, email.strip().lower())
        if user is None:
            raise NotFound("There is no account with this e-mail")
        await self._set_password(user, password)
        return user

    async def _set_password(self, user: User, password: str, *, keep: UUID | None = None) -> None:
        if wrong := _wrong_password(password):
            raise Invalid.field(wrong.field, wrong.message)
        user.password_hash = await _in_thread(_ARGON2.hash, password)
        await repository.revoke_sessions_of(self._session, user.id, keep=keep)
        resource = ("user", user.id, user.email)
        await record(self._session, self._actor, "owner.password.change", resource=resource)

    async def sign_out(self) -> None:
        """End the actor's session, at once.

        Raises:
            Conflict: the actor did not come with one.
        """
        if self._actor.session is None:
            raise Conflict("There is no session to end", code="no_session")
        await repository.revoke_session(self._session, UUID(self._actor.session))
        resource = ("session", self._actor.session, self._actor.label)
        await record(self._session, self._actor, "session.end", resource=resource)


class OwnerLinks:
    """Links by which the first owner comes in. Once there is an owner, there are none."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def issue(self) -> Secret | None:
        """The secret of a new link, good once within 30 minutes; None when there is an owner."""
        if await repository.owner_exists(self._session):
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
        if link is None or await repository.owner_exists(self._session):
            raise LinkExpired
        return link


class SignIn:
    """The two doors to a session. Each opens transactions of its own, so that none waits for argon2.

    Args:
        address: where the caller comes from.
        agent: the caller's browser, as it calls itself.
    """

    def __init__(self, database: Database, address: str | None, agent: str | None) -> None:
        self._database = database
        self._address = address
        self._agent = agent

    async def with_password(self, email: str, password: str, *, instead_of: str | None = None) -> Secret:
        """The secret of a new session. The session `instead_of`, which the browser came with, ends.

        Raises:
            Unauthenticated: without saying which of the two is wrong. Forbidden: the account is no owner's.
            TooManySignIns: with `Retry-After`.
        """
        # The rows of a caller who is signed in are written under its own name, as those of other refused requests.
        user = await self._examine(email, password, trace=instead_of is None)
        actor = _actor(user)
        async with self._database.transaction(actor.scope) as session:
            await repository.forgive_sign_in(session, self._place, user.email)
            if instead_of is not None:
                await repository.revoke_session(session, UUID(instead_of))
            return await self._open(session, actor)

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

    async def with_link(self, link: str, email: str, password: str) -> Secret:
        """Make the first owner, and sign in as that.

        Raises:
            LinkExpired; Invalid: naming `email` or `password`.
        """
        async with self._database.transaction(SYSTEM) as session:
            await OwnerLinks(session).check(link)
        user = await _new_owner(email, password)
        actor = _actor(user)
        async with self._database.transaction(actor.scope) as session:
            await repository.lock_first_owner(session)
            used = await OwnerLinks(session).check(link, lock=True)
            used.used_at = datetime.now(UTC)
            await _add_owner(session, actor, user)
            return await self._open(session, actor)

    @property
    def _place(self) -> str:
        return self._address or "unknown"

    async def _examine(self, email: str, password: str, *, trace: bool) -> User:
        """Count the try, then look at the password.

        Raises:
            TooManySignIns, Unauthenticated, Forbidden: with `trace`, a row in the audit log tells of it.
        """
        email = email.strip().lower()
        account = email if _EMAIL.fullmatch(email) else _NO_ACCOUNT
        async with self._database.transaction(SYSTEM) as session:
            failures = await repository.count_sign_in(session, self._place, account)
            user = await repository.user_by_email(session, account)
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

    async def _open(self, session: AsyncSession, actor: Actor) -> Secret:
        secret = new_secret()
        row = Session(
            id=new_id(),
            token_hash=digest(secret),
            user_id=actor.id,
            expires_at=datetime.now(UTC) + SESSION_LASTS,
            ip=self._address,
            user_agent=self._agent,
        )
        session.add(row)
        await record(session, actor, "session.create", resource=("session", row.id, actor.label))
        return secret


async def _examine(failures: repository.Failures, user: User | None, password: str) -> User:
    """
    Raises:
        TooManySignIns, Unauthenticated, Forbidden.
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
    if user.role != "owner":
        raise Forbidden("This account cannot sign in here yet: the dashboard is for owners", code="not_an_owner")
    return user


def _actor(user: User) -> Actor:
    return Actor("user", user.id, user.email, frozenset(), Plane.PLATFORM)


async def _add_owner(session: AsyncSession, actor: Actor, user: User) -> User:
    if await repository.user_by_email(session, user.email) is not None:
        raise Conflict("There is an account with this e-mail already", code="email_taken")
    session.add(user)
    await session.flush()
    after = {"email": user.email, "role": user.role}
    await record(session, actor, "owner.create", resource=("user", user.id, user.email), after=after)
    return user


async def _new_owner(email: str, password: str) -> User:
    """
    Raises:
        Invalid: naming `email` or `password`.
    """
    email = email.strip().lower()
    errors = []
    if not _EMAIL.fullmatch(email):
        errors.append(FieldError("email", "is not an e-mail address"))
    if wrong := _wrong_password(password):
        errors.append(wrong)
    if errors:
        raise Invalid("; ".join(f"{error.field} {error.message}" for error in errors), errors=errors)
    hashed = await _in_thread(_ARGON2.hash, password)
    return User(id=new_id(), email=email, name=email.partition("@")[0], password_hash=hashed, role="owner")


def _wrong_password(password: str) -> FieldError | None:
    if MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        return None
    return FieldError("password", f"must have {MIN_PASSWORD} to {MAX_PASSWORD} characters")


async def _in_thread(work: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work, *arguments)


def _matches(password: str, hashed: str | None) -> bool:
    # An unknown e-mail takes as long as a wrong password, or it would tell which accounts exist.
    decoy = _decoy()
    return _ARGON2.verify(password, hashed or decoy) and hashed is not None


@cache
def _decoy() -> str:
    return _ARGON2.hash(new_secret())
