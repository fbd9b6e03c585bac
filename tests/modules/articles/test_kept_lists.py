"""Lists of articles from the cache: five minutes at most, as new as the last change, and never another tenant's."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient
from litestar import Litestar

from app.core.database import Database, Plane, Scope
from app.core.policy import Actor
from app.modules.articles.schemas import ArticleCreate
from app.modules.articles.service import ArticleService
from app.modules.tokens.service import TokenService
from app.redis.cache import Cache
from tests.conftest import Made, _client

LISTS = ("/api/v1/articles", "/api/v1/publications")
READS = 1_000
Reader = Callable[..., Awaitable[AsyncClient]]


@pytest.fixture
async def reader(app: Litestar, database: Database, operator: Actor, tenant: Made) -> AsyncGenerator[Reader, None]:
    """Makes clients of a tenant that take answers from the cache."""
    opened: list[AbstractAsyncContextManager[AsyncClient]] = []

    async def make(of: Made = tenant, **more: Any) -> AsyncClient:
        scopes = ["articles:read", "articles:write", "articles:publish"]
        async with database.transaction(operator.scope) as session:
            service = TokenService(session, operator)
            _, secret = await service.create(of.id, name="r", scopes=scopes, plan="unlimited", **more)
        opened.append(_client(app, {"Authorization": f"Bearer {secret}"}))
        return await opened[-1].__aenter__()

    yield make
    for context in opened:
        await context.__aexit__(None, None, None)


async def seen(client: AsyncClient) -> list[tuple[str, list[str]]]:
    """Of each list, where it came from and the titles in it."""
    answers = [await client.get(path) for path in LISTS]
    return [(one.headers["X-Cache"], sorted(item["title"] for item in one.json()["items"])) for one in answers]


@pytest.mark.promise("S2-31")
async def test_a_list_is_kept_for_five_minutes_and_every_change_is_seen_at_once(
    reader: Reader, app: Litestar, tenant: Made, owner: AsyncClient
) -> None:
    first, second = await reader(), await reader()
    assert await seen(first) == [("MISS", []), ("MISS", [])]
    assert await seen(second) == [("HIT", []), ("HIT", [])], "one token's list is the other's"
    cache: Cache = app.state.cache
    keys = await cache.redis.client.keys("*tenant:articles:answers:v1:t:*")
    assert len(keys) == 2
    assert all([300_000 * 0.9 < await cache.redis.client.pttl(key) <= 300_000 for key in keys])

    made = (await first.post(LISTS[0], json={"title": "Tides", "body": "Twice a day."})).json()["id"]
    one = f"{LISTS[0]}/{made}"
    steps: list[tuple[Callable[[], Awaitable[Any]], list[str], list[str]]] = [
        (lambda: first.post(f"{one}/publication"), ["Tides"], ["Tides"]),
        (lambda: first.patch(one, json={"title": "Ebb"}), ["Ebb"], ["Tides"]),
        (lambda: first.post(f"{one}/publication"), ["Ebb"], ["Ebb"]),
        # The owner's change, in the tenant's own list.
        (
            lambda: owner.patch(f"/api/owner/tenants/{tenant.id}/articles/{made}", json={"title": "Flow"}),
            ["Flow"],
            ["Ebb"],
        ),
        (lambda: first.delete(f"{one}/publication"), ["Flow"], []),
        (lambda: first.delete(one), [], []),
    ]
    assert await seen(second) == [("MISS", ["Tides"]), ("MISS", [])]
    for act, articles, publications in steps:
        assert (await act()).status_code < 300
        assert await seen(second) == [("MISS", articles), ("MISS", publications)]
        assert await seen(second) == [("HIT", articles), ("HIT", publications)]
    again = await second.get(LISTS[0])
    assert int(again.headers["Age"]) < 60 and again.headers["Content-Type"] == "application/json"
    fresh = await second.get(LISTS[0], headers={"Cache-Control": "no-cache"})
    assert (fresh.headers["X-Cache"], "age" in fresh.headers) == ("BYPASS", False)


@pytest.mark.promise("S2-31")
async def test_a_change_in_another_process_is_seen_after_its_commit(
    reader: Reader, database: Database, tenant: Made, operator: Actor
) -> None:
    client = await reader()
    await seen(client)
    async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
        await ArticleService(session, operator).create(ArticleCreate(title="Imported", body=""))
        assert (await seen(client))[0] == ("HIT", []), "not committed yet"
    assert (await seen(client))[0] == ("MISS", ["Imported"])


async def test_a_token_of_a_workspace_never_gets_the_list_of_the_whole_tenant(
    reader: Reader, admin: asyncpg.Connection, tenant: Made
) -> None:
    main = await admin.fetchval("SELECT id FROM workspace WHERE tenant_id = $1", tenant.id)
    free, tied = await reader(), await reader(workspace_id=main)
    await free.post(LISTS[0], json={"title": "Loose", "body": ""})
    await tied.post(LISTS[0], json={"title": "Placed", "body": ""})
    for _ in range(2):
        assert (await seen(free))[0][1] == ["Loose", "Placed"]
        assert (await seen(tied))[0][1] == ["Placed"]


async def test_who_may_not_read_and_who_is_shut_out_get_nothing_kept(
    reader: Reader, owner: AsyncClient, tenant: Made, client: AsyncClient
) -> None:
    known = await reader()
    await seen(known)
    assert (await client.get(LISTS[0])).status_code == 401
    suspended = await owner.patch(f"/api/owner/tenants/{tenant.id}", json={"status": "suspended"})
    assert suspended.status_code == 200, suspended.text
    refused = await known.get(LISTS[0])
    assert (refused.status_code, "x-cache" in refused.headers) == (403, False)


async def test_what_many_tenants_read_side_by_side_never_crosses(
    reader: Reader, make_tenant: Callable[[str], Awaitable[Made]], app: Litestar
) -> None:
    tenants = [await make_tenant(name) for name in ("Harbour", "Mountain", "Valley")]
    clients = [await reader(of=one) for one in tenants]
    for one, client in zip(tenants, clients, strict=True):
        await client.post(LISTS[0], json={"title": one.name, "body": ""})
    cache: Cache = app.state.cache
    kinds: set[str] = set()

    async def read(n: int) -> None:
        which = n * 7 % 11 % 3
        answer = await clients[which].get(LISTS[0], params={"limit": 1 + n % 4})
        kinds.add(answer.headers["X-Cache"])
        assert [item["title"] for item in answer.json()["items"]] == [tenants[which].name]
        if n % 97 == 0:
            cache.claims.memory.clear()

    for start in range(0, READS, 50):
        await asyncio.gather(*(read(n) for n in range(start, start + 50)))
        await cache.drop("articles")
    assert kinds == {"HIT", "MISS"}
