"""`teknav migrate`: makes the roles, runs the migrations, and lets the configured logins take the roles."""

import asyncio
import functools
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine

from app.core.database import Plane, asyncpg_url
from app.core.settings import Settings

ROOT = Path(__file__).parent.parent
ROLES = tuple(plane.value for plane in Plane)
MIGRATION_LOCK = 7_365_201


class CannotMakeRoles(Exception):
    """The migration login may not create roles; the message says what an administrator has to run."""


@functools.cache
def head() -> str:
    """The revision that this program's code belongs to: the number that its last migration's file begins with. Web and
    worker ask for it at each start, without loading what migrates."""
    return max(file.name for file in (ROOT / "alembic" / "versions").glob("*.py")).partition("_")[0]


async def migrate(settings: Settings) -> str:
    """Bring the database to this program's revision; safe to run again, and from several hosts at once.

    Returns:
        the revision.

    Raises:
        CannotMakeRoles: the three roles are missing and this login may not create them.
    """
    url, arguments = asyncpg_url(settings.migration_database_url or settings.database_url)
    engine = create_async_engine(url, connect_args=arguments)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
            await connection.commit()
            try:
                await connection.run_sync(_make_roles)
                await connection.run_sync(_upgrade)
                await connection.run_sync(_grant_logins, logins(settings))
                await connection.execute(text("SELECT teknav_make_partitions(3)"))
                await connection.commit()
            finally:
                await connection.rollback()
                await connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
    finally:
        await engine.dispose()
    return head()


def logins(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Which roles each configured login may take. A second login takes the platform's roles away from the first."""
    tenant, platform = _login(settings.database_url), _login(settings.platform_database_url)
    if platform and platform != tenant:
        return {tenant: (Plane.TENANT.value,), platform: (Plane.PLATFORM.value, Plane.SYSTEM.value)}
    return {tenant: ROLES}


def _login(url: str) -> str:
    return unquote(urlsplit(url).username or "")


def _make_roles(connection: Connection) -> None:
    there = set(connection.execute(text("SELECT rolname FROM pg_roles")).scalars())
    missing = [role for role in ROLES if role not in there]
    quote = connection.dialect.identifier_preparer.quote
    try:
        for role in missing:
            connection.execute(text(f"CREATE ROLE {quote(role)} NOLOGIN NOINHERIT"))
        # The migrations hand functions over to these roles and backfill under them.
        how = _without_inheriting(connection)
        for role in ROLES:
            connection.execute(text(f"GRANT {quote(role)} TO CURRENT_USER{how}"))
    except ProgrammingError as error:
        connection.rollback()
        statements = " ".join(f"CREATE ROLE {role} NOLOGIN NOINHERIT;" for role in missing)
        raise CannotMakeRoles(
            f"The migration login may not make the roles ({error.orig}). "
            f"Give it CREATEROLE, or let an administrator run: {statements} GRANT {', '.join(ROLES)} TO the login "
            "WITH ADMIN OPTION;"
        ) from error
    connection.commit()


def _upgrade(connection: Connection) -> None:
    from alembic.config import Config

    from alembic import command

    config = Config(str(ROOT / "alembic.ini"))
    config.set_main_option("script_location", str(ROOT / "alembic"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()


_MEMBER = text(
    "SELECT EXISTS (SELECT 1 FROM pg_auth_members WHERE roleid = to_regrole(:role) AND member = to_regrole(:login))"
)


def _grant_logins(connection: Connection, wanted: dict[str, tuple[str, ...]]) -> None:
    quote = connection.dialect.identifier_preparer.quote
    how = _without_inheriting(connection)
    me = connection.execute(text("SELECT current_user")).scalar_one()
    for login, roles in wanted.items():
        for role in ROLES:
            if role not in roles:
                if (
                    login != me
                    and connection.execute(_MEMBER, {"role": quote(role), "login": quote(login)}).scalar_one()
                ):
                    connection.execute(text(f"REVOKE {quote(role)} FROM {quote(login)}"))
                continue
            connection.execute(text(f"GRANT {quote(role)} TO {quote(login)}{how}"))
        if not how:
            connection.execute(text(f"ALTER ROLE {quote(login)} NOINHERIT"))
    connection.commit()


def _without_inheriting(connection: Connection) -> str:
    """From PostgreSQL 16 on a grant says it itself; before, the login has to be NOINHERIT."""
    modern = (connection.dialect.server_version_info or (0,)) >= (16,)
    return " WITH INHERIT FALSE, SET TRUE" if modern else ""


def run(settings: Settings) -> str:
    return asyncio.run(migrate(settings))
