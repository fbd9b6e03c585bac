"""The owner's lists over the API, from the cache: who gets them, how old they are, and what drops them."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from httpx2 import AsyncClient
from litestar import Litestar
from litestar.routes import HTTPRoute

from app import registry
from app.core.database import Database
from app.core.ids import PLATFORM_TENANT
from app.core.policy import Actor
from app.modules.tokens.service import TokenService
from app.redis.cache import Cache
from tests.conftest import _client

JOBS = "/api/owner/queues/ai:content/jobs"


@pytest.fixture
async def reader(owner: AsyncClient) -> AsyncClient:
    """The owner, who takes answers from the cache."""
    del owner.headers["Cache-Control"]
    return owner


@pytest.fixture
def cache(app: Litestar) -> Cache:
    cache: Cache = app.state.cache
    return cache


@pytest.fixture
async def platform(
    app: Litestar, database: Database, operator: Actor
) -> AsyncGenerator[Callable[..., Awaitable[AsyncClient]], None]:
    """Makes clients with a platform token of these scopes."""
    opened: list[Any] = []

    async def make(*scopes: str) -> AsyncClient:
        async with database.transaction(operator.scope) as session:
            _, secret = await TokenService(session, operator).create(PLATFORM_TENANT, name="p", scopes=list(scopes))
        opened.append(_client(app, {"Authorization": f"Bearer {secret}"}))
        client: AsyncClient = await opened[-1].__aenter__()
        return client

    yield make
    for context in opened:
        await context.__aexit__(None, None, None)


@pytest.mark.promise("S4-38")
async def test_a_second_reader_gets_the_kept_answer_and_is_told_its_age(reader: AsyncClient, cache: Cache) -> None:
    first = await reader.get(JOBS)
    assert (first.headers["X-Cache"], "age" in first.headers) == ("MISS", False)
    second = await reader.get(JOBS)
    assert (second.headers["X-Cache"], second.headers["Age"]) == ("HIT", "0")
    assert second.content == first.content
    assert second.headers["Content-Type"] == first.headers["Content-Type"]
    cache.claims.memory.clear()
    assert (await reader.get(JOBS)).headers["X-Cache"] == "HIT", "from Redis"
    assert (await reader.get(JOBS, params={"limit": 3})).headers["X-Cache"] == "MISS", "another question"
    one, other = {"limit": 3, "state": "failed"}, {"state": "failed", "limit": 3}
    assert (await reader.get(JOBS, params=one)).headers["X-Cache"] == "MISS"
    assert (await reader.get(JOBS, params=other)).headers["X-Cache"] == "HIT"
    for twice in ("state=failed&state=active", "state=active&state=failed"):
        assert (await reader.get(f"{JOBS}?{twice}")).headers["X-Cache"] == "MISS", "the last one counts"
    key = next(iter(await cache.redis.client.keys("*owner:queues:answers:v1:*jobs")))
    assert 9_000 * 0.9 < await cache.redis.client.pttl(key) <= 10_000
    fresh = await reader.get(JOBS, headers={"Cache-Control": "no-cache"})
    assert (fresh.headers["X-Cache"], "age" in fresh.headers) == ("BYPASS", False)


@pytest.mark.promise("S4-33", "S4-34", "S4-35", "S4-38")
def test_the_promised_lists_are_kept_for_the_promised_time_and_nothing_else_is(app: Litestar) -> None:
    found: dict[str, float] = {}
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else []:
            if "cached" in handler.opt:
                assert handler.http_methods <= {"GET", "HEAD"}
                assert route.path.startswith("/api/owner/") or handler.opt["cached"].per_tenant
                if "in_tenant" not in handler.opt:
                    found[route.path.removeprefix("/api/owner")] = handler.opt["cached"].ttl_s
    queue = "/queues/{queue:str}"
    assert found == {
        "/logs/access": 15,
        "/logs/audit": 15,
        "/ai/event-logs": 30,
        "/ai/messages": 30,
        "/ai/runs": 30,
        "/ai/tasks": 30,
        "/ai/usage": 30,
        "/ai/usage/parts": 30,
        "/analytics/articles": 30,
        "/analytics/breakdown": 30,
        "/analytics/readers": 30,
        "/analytics/series": 30,
        "/drafts": 30,
        "/events": 15,
        "/categories": 30,
        "/tags": 30,
        "/funnels": 30,
        "/funnels/{funnel_id:uuid}": 30,
        "/funnels/{funnel_id:uuid}/results": 30,
        "/plugins": 15,
        "/plugins/deliveries": 15,
        "/reports": 30,
        "/workflows/instances": 30,
        "/workflows/instances/{instance_id:uuid}": 30,
        "/queues": 10,
        f"{queue}/stats": 10,
        f"{queue}/jobs": 10,
        f"{queue}/jobs/{{job_id:uuid}}": 10,
        f"{queue}/dlq": 10,
        f"{queue}/dlq/groups": 10,
        "/api/v1/articles": 300,
        "/api/v1/publications": 300,
    }


@pytest.mark.promise("S3-14")
def test_the_page_on_how_it_is_built_lists_all_that_is_kept_and_for_how_long() -> None:
    text = (Path(__file__).parents[2] / "docs/architecture.md").read_text()
    seconds = {"s": 1, "min": 60, "h": 3600}
    told: dict[str, float] = {}
    for what, number, unit in re.findall(r"^\| (`.+?) \| (\d+) (s|min|h) \| \S", text, re.MULTILINE):
        told |= dict.fromkeys(re.findall(r"`(\w+:\w+:\w+)`", what), int(number) * seconds[unit])
    assert told == {name: kind.ttl_s for name, (_, kind) in registry.caches().items()}


@pytest.mark.promise("S4-40")
async def test_a_change_is_seen_at_once(reader: AsyncClient) -> None:
    assert (await reader.get("/api/owner/queues/ai:seo/stats")).json()["pausedAt"] is None
    assert (await reader.get("/api/owner/queues/ai:seo/stats")).headers["X-Cache"] == "HIT"
    assert (await reader.post("/api/owner/queues/ai:seo/pause")).status_code == 200
    after = await reader.get("/api/owner/queues/ai:seo/stats")
    assert after.headers["X-Cache"] == "MISS"
    assert after.json()["pausedAt"] is not None
    assert (await reader.get("/api/owner/queues/ai:seo/stats")).headers["X-Cache"] == "HIT"
    # The page's buttons drop the same.
    assert (await reader.post("/dashboard/owner/queues/ai:seo/resume")).status_code == 200
    assert (await reader.get("/api/owner/queues/ai:seo/stats")).json()["pausedAt"] is None


async def test_the_guard_is_asked_before_the_cache(
    reader: AsyncClient, client: AsyncClient, platform: Callable[..., Awaitable[AsyncClient]]
) -> None:
    assert (await reader.get(JOBS)).status_code == 200
    assert (await reader.get(JOBS)).headers["X-Cache"] == "HIT"
    allowed, denied = await platform("queues:read"), await platform("audit:read")
    assert (await allowed.get(JOBS)).headers["X-Cache"] == "HIT"
    refused = await denied.get(JOBS)
    assert (refused.status_code, "x-cache" in refused.headers) == (403, False)
    anonymous = await client.get(JOBS)
    assert (anonymous.status_code, "x-cache" in anonymous.headers) == (401, False)
    misspelt = await reader.get(JOBS, params={"stat": "failed"})
    assert (misspelt.status_code, "x-cache" in misspelt.headers) == (422, False)


async def test_errors_are_never_kept(reader: AsyncClient, cache: Cache) -> None:
    for path in (f"/api/owner/queues/ai:content/jobs/{UUID(int=7)}", "/api/owner/queues/none/jobs", f"{JOBS}?limit=0"):
        wanted = 422 if "limit" in path else 404
        for _ in range(2):
            answer = await reader.get(path)
            assert (answer.status_code, answer.headers["X-Cache"]) == (wanted, "BYPASS")
    together = await asyncio.gather(*(reader.get("/api/owner/queues/none/jobs") for _ in range(20)))
    assert {answer.status_code for answer in together} == {404}
    assert not await cache.redis.client.keys("*owner:queues:answers*")


async def test_many_who_ask_at_once_are_one_load(reader: AsyncClient, cache: Cache) -> None:
    before = cache.claims.figures.total["owner:runs:answers", "load"]
    answers = await asyncio.gather(*(reader.get("/api/owner/ai/runs") for _ in range(30)))
    assert sorted(answer.headers["X-Cache"] for answer in answers) == ["HIT"] * 29 + ["MISS"]
    assert len({answer.content for answer in answers}) == 1
    assert cache.claims.figures.total["owner:runs:answers", "load"] == before + 1


async def test_whoever_leaves_while_loading_leaves_it_to_the_others(reader: AsyncClient, cache: Cache) -> None:
    asking = [asyncio.create_task(reader.get("/api/owner/ai/tasks")) for _ in range(10)]
    async with asyncio.timeout(5):
        while not cache.claims._flights:
            await asyncio.sleep(0)
    asking[0].cancel()
    answers = await asyncio.gather(*asking[1:])
    assert {answer.status_code for answer in answers} == {200}
    assert not cache.claims._flights


@pytest.mark.promise("S4-63")
async def test_a_sensitive_read_from_the_cache_is_in_the_access_log(
    reader: AsyncClient, admin: asyncpg.Connection
) -> None:
    await reader.post("/api/owner/queues/ai:seo/pause")
    answers = [await reader.get("/api/owner/logs/audit", params={"limit": 3}) for _ in range(2)]
    assert [answer.headers["X-Cache"] for answer in answers] == ["MISS", "HIT"]
    rows = await admin.fetch("SELECT * FROM data_access_log WHERE action = 'owner.read.audit' ORDER BY id")
    assert [row["cached"] for row in rows] == [False, True]
    kept = [{name: row[name] for name in ("actor_label", "row_count", "query", "fields", "path")} for row in rows]
    assert kept[0] == kept[1]
    assert kept[0]["row_count"] == len(answers[0].json()["items"]) > 0
    await reader.get(JOBS)
    await reader.get(JOBS)
    assert await admin.fetchval("SELECT count(*) FROM data_access_log") == 2, "a list without payloads is not sensitive"
