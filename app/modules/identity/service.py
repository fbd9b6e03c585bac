"""The rules of identity: who may enter, for how long, and what the tokens of programs may do."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
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
from app.modules.audit.service import record
from app.modules.identity import repository
from app.modules.identity.models import ApiToken, OwnerLink, Session, User
from app.modules.tenants.models import Workspace
from app.modules.tenants.service import TenantService, checked_name

TOPIC = "tokens"
SESSION_LASTS = timedelta(hours=12)
LINK_LASTS = timedelta(minutes=30)
MIN_PASSWORD, MAX_PASSWORD = 12, 1024
FAILURES_PER_ACCOUNT, FAILURES_PER_ADDRESS = 10, 50
SHOWN_OF_TOKEN = 8
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,255}")
_SESSION = text("SELECT session_id, user_id, email, role FROM public.teknav_session(:hash)")
_TOKEN = text("SELECT token_id, tenant_id, workspace_id, name, scopes FROM public.teknav_token(:hash)")
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

    async def token(self, bearer: str) -> Actor | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(_TOKEN, {"hash": digest(bearer)})).one_or_none()
        if row is None:
            return None
        platform = row.tenant_id == PLATFORM_TENANT
        granted = frozenset(row.scopes) & (self._every if platform else self._tenants)
        plane = Plane.PLATFORM if platform else Plane.TENANT
        return Actor("token", row.token_id, row.name, granted, plane, row.tenant_id, row.workspace_id)


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
        email, hashed = await _credentials(email, password)
        return await _add_owner(self._session, self._actor, email, hashed)

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
        email = email.strip().lower()
        address = self._address or "unknown"
        async with self._database.transaction(SYSTEM) as session:
            failures = await repository.count_sign_in(session, address, email)
            user = await repository.user_by_email(session, email)
        if failures.account > FAILURES_PER_ACCOUNT or failures.address > FAILURES_PER_ADDRESS:
            wait = max(1, round((failures.until - datetime.now(UTC)).total_seconds()))
            raise TooManySignIns(headers={"Retry-After": str(wait)})
        if not await _in_thread(_matches, password, user) or user is None or user.disabled_at is not None:
            raise Unauthenticated("E-mail or password is wrong", code="bad_credentials")
        if user.role != "owner":
            raise Forbidden("This account cannot sign in here yet: the dashboard is for owners", code="not_an_owner")
        actor = _owner(user)
        async with self._database.transaction(actor.scope) as session:
            await repository.forgive_sign_in(session, address, email)
            if instead_of is not None:
                await repository.revoke_session(session, UUID(instead_of))
            return await self._open(session, actor)

    async def with_link(self, link: str, email: str, password: str) -> Secret:
        """Make the first owner, and sign in as that.

        Raises:
            LinkExpired; Invalid: naming `email` or `password`.
        """
        async with self._database.transaction(SYSTEM) as session:
            await OwnerLinks(session).check(link)
        email, hashed = await _credentials(email, password)
        user = User(id=new_id(), email=email)
        actor = _owner(user)
        async with self._database.transaction(actor.scope) as session:
            await repository.lock_first_owner(session)
            used = await OwnerLinks(session).check(link, lock=True)
            used.used_at = datetime.now(UTC)
            await _add_owner(session, actor, email, hashed)
            return await self._open(session, actor)

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
