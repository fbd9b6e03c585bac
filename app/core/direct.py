"""Transactions on asyncpg's own connection, for what runs so often that a session's price counts.

They come from the session's pool and carry role and tenant as every unit of work does.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import asyncpg
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.core.errors import Invalid

MOST_AT_ONCE = 100
UNSTORABLE = "The input holds the character U+0000, which cannot be stored"
LOOK_S = 5.0
Asked = tuple[tuple[Any, ...], asyncio.Future[tuple[Any, ...] | None]]
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
    pooled = await _open(engine)
    connection = cast("asyncpg.Connection", pooled.driver_connection)
    try:
        try:
            async with connection.transaction():
                await connection.fetchrow(_ENTER, role, str(tenant_id))
                yield connection
        finally:
            if connection.is_closed() or connection.is_in_transaction():
                pooled.invalidate()
    finally:
        pooled.close()


class Lookups:
    """One function of PostgreSQL asked by many at once: who asks while a statement is under way goes with the next.

    Each look begins after it was asked for, so it sees what had been committed by then. Nothing is kept. It runs
    without a transaction and without a role, and for LOOK_S at most: on a connection that has died without a word, all
    who ask would wait for as long as any statement may take.

    Args:
        query: takes an array for each argument of `find`; the first column of each row is the place in these, from 1.
            It must not wait for locks: all who ask would wait.
    """

    def __init__(self, engine: AsyncEngine, query: str) -> None:
        self._engine, self._query = engine, query
        self._asked: list[Asked] = []
        self._task: asyncio.Task[None] | None = None

    async def find(self, *arguments: Any) -> tuple[Any, ...] | None:
        """The columns after the first; None where there is no row.

        Raises:
            Invalid (`bad_character`): an argument holds U+0000. In a statement with others it would hold them up.
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError: PostgreSQL went away, or did not
                answer in time.
        """
        if any(isinstance(one, str) and "\0" in one for one in arguments):
            raise Invalid(UNSTORABLE, code="bad_character")
        future: asyncio.Future[tuple[Any, ...] | None] = asyncio.get_running_loop().create_future()
        self._asked.append((arguments, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._asked:
            asked, self._asked = self._asked[:MOST_AT_ONCE], self._asked[MOST_AT_ONCE:]
            await self._answer(asked)

    async def _answer(self, asked: list[Asked]) -> None:
        try:
            found = await self._fetch([arguments for arguments, _ in asked])
        except Exception as error:
            if len(asked) > 1 and isinstance(error, (ValueError, asyncpg.DataError)):
                for one in asked:  # PostgreSQL cannot read what one of them has sent: that one fails alone
                    await self._answer([one])
                return
            for _, future in asked:
                if not future.done():
                    future.set_exception(error)
            return
        for place, (_, future) in enumerate(asked, 1):
            if not future.done():
                future.set_result(found.get(place))

    async def _fetch(self, asked: list[tuple[Any, ...]]) -> dict[int, tuple[Any, ...]]:
        pooled = await _open(self._engine)
        connection = cast("asyncpg.Connection", pooled.driver_connection)
        try:
            rows = await connection.fetch(self._query, *map(list, zip(*asked, strict=True)), timeout=LOOK_S)
        except TimeoutError:
            connection.terminate()  # who comes next gets another one
            raise
        finally:
            if connection.is_closed():
                pooled.invalidate()
            pooled.close()
        return {row[0]: tuple(row)[1:] for row in rows}


async def _open(engine: AsyncEngine) -> PoolProxiedConnection:
    pooled = await engine.raw_connection()
    while cast("asyncpg.Connection", pooled.driver_connection).is_closed():
        # It ended while it lay in the pool, and asyncpg knows.
        pooled.invalidate()
        pooled = await engine.raw_connection()
    return pooled
