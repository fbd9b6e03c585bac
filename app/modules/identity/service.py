"""The rules of identity: who may enter, for how long, and what the tokens of programs may do."""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from pwdlib import PasswordHash
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database, Plane, scope_of
from app.core.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, Problem, Unauthenticated
from app.core.ids import PLATFORM_TENANT, new_id
from app.core.live import signal
from app.core.paging import Page, Pager
from app.core.policy import Actor, Permission
from app.core.secrets import Secret, digest, new_secret
from app.core.wire import one_line
from app.modules.audit.service import record
from app.modules.identity import repository
from app.modules.identity.models import ApiToken, OwnerLink, Session, User
from app.modules.identity.schemas import MAX_NAME
from app.modules.tenants.service import TenantService

T = TypeVar("T")
TOPIC = "tokens"
SESSION_LASTS = timedelta(hours=12)
LINK_LASTS = timedelta(minutes=30)
MIN_PASSWORD, MAX_PASSWORD = 12, 1024
FAILURES_PER_ACCOUNT, FAILURES_PER_ADDRESS = 10, 50
SHOWN_OF_TOKEN = 8
ANONYMOUS = Actor("anonymous", None, "not signed in", frozenset(), Plane.SYSTEM)
_NO_ACCOUNT = "not an e-mail address"
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,255}")
_SESSION = text("SELECT session_id, user_id, email, role FROM public.teknav_session(:hash)")
_TOKEN = text("SELECT token_id, tenant_id, workspace_id, name, scopes FROM public.teknav_token(:hash)")
_REFUSED = text("SELECT public.teknav_refused_token(:hash)")
# Argon2 wants 64 MB and a core for each password: two at a time, whoever knocks.
_THREADS = ThreadPoolExecutor(2, "argon2")
_ARGON2 = PasswordHash.recommended()


class LinkExpired(Problem):
    status, code, title = 410, "link_expired", "This link no longer works"


class TooManySignIns(Problem):
    status, code, title = 429, "too_many_sign_ins", "Too many failed sign-ins; wait and try again"


class Authenticator:
    """Finds who sent a cookie or a bearer token, in one statement and without a role.

    The functions it calls belong to `teknav_system`, check that nothing has expired, and note that it was used.
    """

    def __init__(self, database: Database, permissions: Mapping[str, Permission]) -> None:
        self._engine = database.engine(Plane.TENANT).execution_options(isolation_level="AUTOCOMMIT")
        self._every = frozenset(permissions)
        self._tenants = frozenset(name for name, permission in permissions.items() if permission.tenant)

    async def session(self, cookie: str) -> Actor | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(_SESSION, {"hash": digest(cookie)})).one_or_none()
        if row is None or row.role != "owner":
            return None
        return Actor("user", row.user_id, row.email, self._every, Plane.PLATFORM, session=str(row.session_id))

    async def token(self, bearer: str) -> Actor:
        """
        Raises:
            Unauthenticated (`bad_token`): it is unknown, expired or revoked. Forbidden (`tenant_suspended`).
        """
        async with self._engine.connect() as connection:
            row = (await connection.execute(_TOKEN, {"hash": digest(bearer)})).one_or_none()
            if row is None:
                why = (await connection.execute(_REFUSED, {"hash": digest(bearer)})).scalar_one_or_none()
        if row is None:
            raise _refusal(why)
        platform = row.tenant_id == PLATFORM_TENANT
        granted = frozenset(row.scopes) & (self._every if platform else self._tenants)
        plane = Plane.PLATFORM if platform else Plane.TENANT
        return Actor("token", row.token_id, row.name, granted, plane, row.tenant_id, row.workspace_id)


def _refusal(why: str | None) -> Problem:
    if why == "suspended":
        return Forbidden("This tenant is suspended", code="tenant_suspended")
    said = {"revoked": "was revoked", "expired": "has expired"}.get(why or "", "is unknown")
    return Unauthenticated(f"This token {said}", code="bad_token")


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


class TokenService:
    """API tokens of tenants, and under the platform's own tenant those for `/api/owner`."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor
        self._tenants = TenantService(session, actor)

    def grantable(self, tenant_id: UUID) -> list[Permission]:
        """What a token of this tenant may be given by this actor: never more than the actor may do."""
        known: Mapping[str, Permission] = self._session.info["permissions"]
        wanted = (known[name] for name in sorted(known) if tenant_id == PLATFORM_TENANT or known[name].tenant)
        return [permission for permission in wanted if self._actor.may(permission)]

    def offered(self, tenant_id: UUID) -> list[Permission]:
        """Of these what is of use to the token itself. A platform token that makes tenants' tokens needs more."""
        of_platform: Collection[str] = self._session.info["owner_scopes"]
        found = self.grantable(tenant_id)
        return [each for each in found if each.name in of_platform] if tenant_id == PLATFORM_TENANT else found

    async def create(
        self,
        tenant_id: UUID,
        *,
        name: str,
        scopes: Sequence[str],
        workspace_id: UUID | None = None,
        expires_in_days: int | None = 90,
    ) -> tuple[ApiToken, Secret]:
        """Make a token. Its secret is returned here and nowhere else.

        Args:
            expires_in_days: 1 to 3650; None for a token that does not expire.

        Raises:
            NotFound: there is no such tenant. Invalid: naming `name`, `scopes`, `workspaceId` or `expiresInDays`.
        """
        label = await self._label(tenant_id)
        if workspace_id is not None and workspace_id not in await self._tenants.workspace_names(tenant_id):
            raise Invalid.field("workspaceId", "there is no such workspace in this tenant")
        secret = new_secret("tn_")
        token = ApiToken(
            id=new_id(),
            tenant_id=tenant_id,
            workspace_id=workspace_id,
            name=one_line("name", name, MAX_NAME),
            prefix=secret[:SHOWN_OF_TOKEN],
            token_hash=digest(secret),
            scopes=self._scopes(tenant_id, scopes),
            expires_at=_expiry(expires_in_days),
            created_by=self._actor.label,
        )
        self._session.add(token)
        await self._session.flush()
        await self._session.refresh(token)
        after = {
            "tenant": label,
            "name": token.name,
            "prefix": token.prefix,
            "scopes": token.scopes,
            "workspace_id": workspace_id,
            "expires_at": token.expires_at,
        }
        await self._trace("owner.token.create", token, None, after)
        return token, secret

    async def search(
        self, pager: Pager, tenant_id: UUID, *, limit: int = 25, cursor: str | None = None
    ) -> Page[ApiToken]:
        """Newest first, revoked and expired ones too.

        Raises:
            NotFound: there is no such tenant.
        """
        await self._label(tenant_id)
        query = select(ApiToken).where(ApiToken.tenant_id == tenant_id)
        of = f"tokens {tenant_id}"
        return await pager.page(self._session, query, key=ApiToken.id, of=of, limit=limit, cursor=cursor)

    async def get(self, tenant_id: UUID, token_id: UUID, *, lock: bool = False) -> ApiToken:
        """
        Raises:
            NotFound: the tenant has no such token.
        """
        place = (ApiToken.tenant_id == tenant_id, ApiToken.id == token_id)
        query = select(ApiToken).where(*place)
        token = await self._session.scalar(query.with_for_update() if lock else query)
        if token is None:
            raise NotFound("There is no such token")
        return token

    async def revoke(self, tenant_id: UUID, token_id: UUID) -> ApiToken:
        """Refuse the token from now on. Revoking what is revoked changes nothing.

        Raises:
            NotFound: the tenant has no such token.
        """
        token = await self.get(tenant_id, token_id, lock=True)
        if token.revoked_at is None:
            token.revoked_at = datetime.now(UTC)
            await self._session.flush()
            await self._trace("owner.token.revoke", token, {"revoked_at": None}, {"revoked_at": token.revoked_at})
        return token

    async def _label(self, tenant_id: UUID) -> str:
        if tenant_id == PLATFORM_TENANT:
            return "platform"
        return (await self._tenants.get(tenant_id)).slug

    def _scopes(self, tenant_id: UUID, scopes: Sequence[str]) -> list[str]:
        allowed = {permission.name for permission in self.grantable(tenant_id)}
        refused = sorted(set(scopes) - allowed)
        if refused:
            kind = "a platform" if tenant_id == PLATFORM_TENANT else "a tenant's"
            choice = ", ".join(permission.name for permission in self.offered(tenant_id))
            raise Invalid.field("scopes", f"{kind} token cannot be given {', '.join(refused)}, but: {choice}")
        if not scopes:
            raise Invalid.field("scopes", "choose at least one scope")
        return sorted(set(scopes))

    async def _trace(self, action: str, token: ApiToken, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        resource = ("token", token.id, token.name)
        await record(self._session, self._actor, action, resource=resource, before=before, after=after)
        signal(self._session, TOPIC, token.id, scope_of(self._session).tenant_id)


def _expiry(days: int | None) -> datetime | None:
    if days is None:
        return None
    if not 1 <= days <= 3650:
        raise Invalid.field("expiresInDays", "must be from 1 to 3650, or null")
    return datetime.now(UTC) + timedelta(days=days)


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
