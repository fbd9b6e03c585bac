"""The unit of work: one transaction that carries its role, its tenant, and what happens after it."""

import enum
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import structlog
from asyncpg.exceptions import ConnectionDoesNotExistError, InternalClientError
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction

from app.core.direct import Direct, begun, direct
from app.core.ids import PLATFORM_TENANT, set_clock_offset
from app.core.settings import Settings

log = structlog.get_logger()
# No disk, memory or connection left, which somebody will give it; the connection failed; the server stops or starts.
AWAY = ("53", "08", "57P")
# The second is what asyncpg says where a connection ends in the middle of an answer.
CUT_OFF = (ConnectionDoesNotExistError, InternalClientError)
AfterCommit = Callable[[], Awaitable[None]]
_PLANNED_ANEW = text("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")


class Plane(enum.StrEnum):
    """Which rights a transaction has; the value is the PostgreSQL role it takes."""

    TENANT = "teknav_tenant"
    PLATFORM = "teknav_platform"
    SYSTEM = "teknav_system"


@dataclass(frozen=True, slots=True)
class Scope:
    """Role and tenant of one transaction. Made from the actor, never from input."""

    plane: Plane
    tenant_id: UUID = PLATFORM_TENANT


SYSTEM = Scope(Plane.SYSTEM)


class _ScopedSession(Session):
    pass


@event.listens_for(_ScopedSession, "after_begin")
def _enter_scope(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    # Transaction-local, so neither role nor tenant can outlive the transaction on a pooled connection.
    # Only the outermost: a value set in a released savepoint would stay for the outer transaction.
    if transaction.nested:
        return
    scope: Scope = session.info["scope"]
    # Past the compiler of SQL: every transaction begins with it.
    connection.exec_driver_sql(
        "SELECT set_config('role', $1, true), set_config('app.tenant_id', $2, true)",
        (scope.plane.value, str(scope.tenant_id)),
    )


async def plan_anew(session: AsyncSession) -> None:
    """Have the statements of this transaction planned for their values. For searches: after five times PostgreSQL
    may settle for one plan for any value, and reads for what is rare, or not there, all there is.
    """
    await session.execute(_PLANNED_ANEW)


def after_commit(session: AsyncSession | Direct, action: AfterCommit) -> None:
    """Run `action` once this transaction has committed; never when it rolls back.

    Actions are best effort: what must happen is a row, and a loop finds it. An action that raises is
    logged, and the ones behind it still run.
    """
    session.info.setdefault("after_commit", []).append(action)


def scope_of(session: AsyncSession) -> Scope:
    scope: Scope = session.info["scope"]
    return scope


class Database:
    """The connection pools of one process: one for tenants' work, one for the platform's."""

    def __init__(self, settings: Settings) -> None:
        self._tenant = _engine(settings.database_url, settings)
        platform_url = settings.platform_database_url or settings.database_url
        same = platform_url == settings.database_url
        self._platform = self._tenant if same else _engine(platform_url, settings)
        self._ports: dict[str, Any] = {}

    def provide(self, **ports: Any) -> None:
        """What every session of this process finds in `session.info`: the live broker, the queue engine."""
        self._ports |= ports

    def engine(self, plane: Plane) -> AsyncEngine:
        return self._tenant if plane is Plane.TENANT else self._platform

    @asynccontextmanager
    async def transaction(self, scope: Scope) -> AsyncGenerator[AsyncSession, None]:
        """A session in one transaction: committed at the end, rolled back on any error.

        Nothing is sent to PostgreSQL before the first statement, so a block that reads nothing costs nothing.
        """
        async with AsyncSession(
            self.engine(scope.plane),
            sync_session_class=_ScopedSession,
            expire_on_commit=False,
            info={**self._ports, "scope": scope},
        ) as session:
            yield session
            await session.commit()
        await _after(session.info)

    @asynccontextmanager
    async def connection(self, scope: Scope, *, session: bool = False) -> AsyncGenerator[Direct, None]:
        """A transaction like that of `transaction`, on asyncpg's own connection, which costs a fifth of a session.

        Args:
            session: with a session beside it, for code that wants one in the same transaction.
        """
        if session:
            async with self.transaction(scope) as opened:
                yield await direct(opened)
            return
        info = {**self._ports, "scope": scope}
        async with begun(self.engine(scope.plane), scope.plane.value, scope.tenant_id) as connection:
            yield Direct(connection, info)
        await _after(info)

    async def measure_clock(self) -> float:
        """Compare this process's clock with PostgreSQL's; returns seconds PostgreSQL is ahead."""
        async with self._platform.connect() as connection:
            before = time.time()
            theirs = (await connection.execute(text("SELECT extract(epoch FROM clock_timestamp())"))).scalar_one()
            offset = float(theirs) - (before + time.time()) / 2
        set_clock_offset(offset)
        return offset

    async def ping(self) -> None:
        """One round trip per login.

        Raises:
            OSError or SQLAlchemyError: when PostgreSQL cannot be reached.
        """
        for engine in {self._tenant, self._platform}:
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self._tenant.dispose()
        await self._platform.dispose()


async def _after(info: dict[str, Any]) -> None:
    for action in info.get("after_commit", ()):
        try:
            await action()
        except Exception:
            log.warning("after_commit.failed", exc_info=True)


def is_unavailable(error: BaseException) -> bool:
    """Whether PostgreSQL went away, does not let anybody in, or has no room: the same will go well later.

    Where there is nothing to connect to, the error is an OSError, which anything else may have raised too.
    """
    if isinstance(error, (OperationalError, InterfaceError, PoolTimeout, asyncpg.InterfaceError, *CUT_OFF)):
        return True
    # What asyncpg says on a connection of its own, and to SQLAlchemy before there is one.
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate or "").startswith(AWAY)
    if not isinstance(error, DBAPIError):
        return False
    told = error.__cause__.__cause__ if error.__cause__ else None
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or isinstance(told, CUT_OFF) or state.startswith(AWAY)


def asyncpg_url(url: str) -> tuple[str, dict[str, Any]]:
    """SQLAlchemy's form of a PostgreSQL address, with libpq's `sslmode` turned into asyncpg's `ssl`.

    Returns:
        the address, and the arguments for `asyncpg.connect`.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    mode = query.pop("sslmode", "")
    query.pop("channel_binding", None)
    arguments: dict[str, Any] = {}
    if mode in ("require", "prefer", "allow"):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        arguments["ssl"] = context if mode == "require" else mode
    elif mode in ("verify-ca", "verify-full"):
        context = ssl.create_default_context(cafile=query.pop("sslrootcert", None))
        context.check_hostname = mode == "verify-full"
        arguments["ssl"] = context
    elif mode == "disable":
        arguments["ssl"] = False
    return urlunsplit(("postgresql+asyncpg", parts.netloc, parts.path, urlencode(query, safe="/"), "")), arguments


def _engine(url: str, settings: Settings) -> AsyncEngine:
    address, arguments = asyncpg_url(url)
    if settings.database_pooler:
        arguments |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    return create_async_engine(
        address,
        connect_args={"timeout": 5, "command_timeout": 60} | arguments,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        # What is bound to a statement may be an article, a payload or a hash: no log needs it.
        hide_parameters=True,
        pool_timeout=10,
        pool_recycle=1800,
    )
