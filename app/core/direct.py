"""Transactions on asyncpg's own connection, for what runs so often that a session's price counts.

They come from the session's pool and carry role and tenant as every unit of work does.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

_ENTER = "SELECT set_config('role', $1, true), set_config('app.tenant_id', $2, true)"


@dataclass(slots=True, eq=False)
class Direct:
    """A transaction under way. `info` is what a session has under that name, and so takes signals and actions."""

    connection: asyncpg.Connection
    info: dict[str, Any] = field(default_factory=dict)
    session: AsyncSession | None = None
    """The session whose transaction this is, where it has one."""


async def direct(session: AsyncSession | Direct) -> Direct:
    """The connection under a session, in the session's transaction. What the ORM has to write is not flushed."""
    if isinstance(session, Direct):
        return session
    pooled = await (await session.connection()).get_raw_connection()
    return Direct(cast("asyncpg.Connection", pooled.driver_connection), session.info, session)


@asynccontextmanager
async def begun(engine: AsyncEngine, role: str, tenant_id: UUID) -> AsyncGenerator[asyncpg.Connection, None]:
    """A connection in one transaction: committed at the end, rolled back on any error.

    Raises:
        OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError: PostgreSQL went away.
    """
    pooled = await engine.raw_connection()
    try:
        while (connection := cast("asyncpg.Connection", pooled.driver_connection)).is_closed():
            # It ended while it lay in the pool, and asyncpg knows.
            pooled.invalidate()
            pooled = await engine.raw_connection()
        try:
            async with connection.transaction():
                await connection.fetchrow(_ENTER, role, str(tenant_id))
                yield connection
        finally:
            if connection.is_closed() or connection.is_in_transaction():
                pooled.invalidate()
    finally:
        pooled.close()
