"""Who calls is looked up for many callers at once, as of now, and nobody waits for another's row."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient
from litestar import Litestar
from pytest import MonkeyPatch

from app import registry
from app.core.database import Database, Plane
from app.core.direct import Lookups
from app.core.errors import Invalid
from app.core.settings import Settings
from app.modules.bearers.service import Bearers, jwts_of
from app.modules.sessions.service import Sessions

TenantClient = Callable[..., Awaitable[AsyncClient]]


@pytest.fixture
def statements(monkeypatch: MonkeyPatch) -> list[int]:
    """How many callers each statement was about."""
    seen: list[int] = []
    fetch = Lookups._fetch

    async def counted(self: Lookups, asked: list[tuple[Any, ...]]) -> Any:
        seen.append(len(asked))
        return await fetch(self, asked)

    monkeypatch.setattr(Lookups, "_fetch", counted)
    return seen


async def test_many_callers_at_once_are_two_statements_and_each_gets_its_own_answer(
    tenant_client: TenantClient, statements: list[int]
) -> None:
    readers = [await tenant_client("articles:read") for _ in range(5)]
    strangers = [await tenant_client("ai:read") for _ in range(5)]
    statements.clear()
    answers = await asyncio.gather(
        *(client.get("/api/v1/articles") for pair in zip(readers, strangers, strict=True) for client in pair)
    )
    assert [answer.status_code for answer in answers] == [200, 403] * 5
    assert sum(statements) == 10
    assert len(statements) <= 3, statements


async def test_a_row_that_somebody_holds_stops_no_caller_and_a_revoked_token_is_refused_at_once(
    tenant_client: TenantClient, admin: asyncpg.Connection, settings: Settings
) -> None:
    held, other = await tenant_client("articles:read"), await tenant_client("articles:read")
    changing = await asyncpg.connect(settings.migration_database_url)
    try:
        transaction = changing.transaction()
        await transaction.start()
        await changing.execute("SET LOCAL ROLE teknav_platform")
        await changing.execute("UPDATE api_token SET revoked_at = now()")
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*(client.get("/api/v1/articles") for client in (held, other)))
        assert [answer.status_code for answer in answers] == [200, 200]
        assert await admin.fetchval("SELECT count(*) FROM api_token WHERE last_used_at IS NOT NULL") == 0
        await transaction.commit()
    finally:
        await changing.close()
    assert (await held.get("/api/v1/articles")).status_code == 401


async def test_a_use_is_noted_once_in_a_minute(tenant_client: TenantClient, admin: asyncpg.Connection) -> None:
    client = await tenant_client("articles:read")
    await asyncio.gather(*(client.get("/api/v1/articles") for _ in range(5)))
    noted = await admin.fetchval("SELECT last_used_at FROM api_token")
    assert noted is not None
    await client.get("/api/v1/articles")
    assert await admin.fetchval("SELECT last_used_at FROM api_token") == noted


async def test_who_sends_what_postgresql_cannot_read_is_refused_before_it_holds_up_others(
    owner: AsyncClient, database: Database, statements: list[int]
) -> None:
    sessions, cookie = Sessions(database, registry.permissions()), owner.cookies["teknav_session"]
    asked = [sessions.actor(cookie, slug) for slug in (None, "no\0slug", "nobody", None)]
    first, broken, member, last = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(broken, Invalid) and broken.code == "bad_character"
    assert [getattr(one, "kind", None) for one in (first, member, last)] == ["user"] * 3
    assert statements == [3]


async def test_one_argument_of_another_type_fails_alone(database: Database, statements: list[int]) -> None:
    rows = "unnest($1::int[]) WITH ORDINALITY a(number, place)"
    lookups = Lookups(database.engine(Plane.TENANT), f"SELECT place, number FROM {rows}")
    first, broken, last = await asyncio.gather(*map(lookups.find, (1, 2**40, 3)), return_exceptions=True)
    assert (first, last) == ((1,), (3,))
    assert isinstance(broken, asyncpg.DataError)
    assert statements == [3, 1, 1, 1]


async def test_who_leaves_disturbs_nobody(app: Litestar, database: Database, settings: Settings) -> None:
    bearers = Bearers(database, registry.permissions(), jwts_of(settings))
    asking = [asyncio.create_task(bearers.actor(f"tn_{n}", None)) for n in range(6)]
    await asyncio.sleep(0)
    asking[0].cancel()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert {str(getattr(one, "code", one)) for one in found[1:]} == {"bad_token"}


async def test_a_look_that_gets_no_answer_ends_soon_and_its_connection_serves_nobody_else(
    database: Database, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr("app.core.direct.LOOK_S", 0.2)
    rows = "unnest($1::float[]) WITH ORDINALITY a(seconds, place)"
    query = f"SELECT place, pg_backend_pid(), pg_sleep(seconds)::text FROM {rows}"
    lookups = Lookups(database.engine(Plane.TENANT), query)
    before = await lookups.find(0.0)
    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            await lookups.find(60.0)
        after = await lookups.find(0.0)
    assert before is not None and after is not None and before[0] != after[0]
