"""The cache as the owner sees it, over the API, on its page and by command; and what the owner drops."""

import json
from typing import Any

import asyncpg
import msgspec
import pytest
from httpx2 import AsyncClient
from litestar import Litestar

from app.redis.cache import Cache
from app.redis.insight import Insight, warnings
from tests.modules.conftest import Teknav

API, PAGES, HTMX = "/api/owner/cache", "/dashboard/owner/cache", {"HX-Request": "true"}
LIST = "/api/owner/queues"


@pytest.fixture
def cache(app: Litestar) -> Cache:
    cache: Cache = app.state.cache
    cache.claims.figures.take()  # what other tests left
    return cache


async def hit(owner: AsyncClient) -> str:
    answer = await owner.get(LIST, headers={"Cache-Control": "max-age=10"})
    return str(answer.headers["X-Cache"])


@pytest.mark.promise("S0-45", "S3-14")
async def test_what_is_kept_is_listed_with_what_became_of_it(owner: AsyncClient, cache: Cache) -> None:
    assert [await hit(owner) for _ in range(4)] == ["MISS", "HIT", "HIT", "HIT"]
    cache.claims.memory.clear()
    assert await hit(owner) == "HIT"
    found = (await owner.get(f"{API}/stats")).json()
    kinds = {kind["name"]: kind for kind in found["kinds"]}
    assert {"owner:queues:answers", "owner:audit:answers", "owner:ai:answers"} <= set(kinds)
    seen = kinds["owner:queues:answers"]
    assert (seen["module"], seen["ttlS"], seen["tags"]) == ("queues", 10, ["queues"])
    assert (seen["localHits"], seen["redisHits"], seen["misses"], seen["loads"]) == (3, 1, 1, 1)
    assert seen["hitRate"] == 0.8 and seen["bytes"] > 100 and seen["loadMs"] is not None
    redis = found["redis"]
    assert (redis["ok"], redis["apart"], redis["policy"], redis["warnings"]) == (True, False, "noeviction", [])
    assert redis["usedBytes"] > 0 and redis["name"] in ("Valkey", "Redis")
    assert any("owner:queues:answers:v1" in one["key"] for one in found["slow"])
    page = (await owner.get(PAGES)).text
    assert "owner:queues:answers" in page and "80.0 %" in page and "<html" in page
    part = (await owner.get(PAGES, headers=HTMX)).text
    assert part.lstrip().startswith('<div class="stack" id="cache"')


async def test_keys_tags_and_areas_are_dropped_and_audited(
    owner: AsyncClient, cache: Cache, admin: asyncpg.Connection
) -> None:
    async def clear(**what: Any) -> dict[str, Any]:
        answer = await owner.post(f"{API}/clear", json=what)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    await hit(owner)
    sample = (await owner.get(f"{API}/keys")).json()
    [key] = [one["key"] for one in sample["items"] if one["kind"] == "owner:queues:answers"]
    assert sample["sampled"] >= len(sample["items"])
    assert await clear(key=key) == {"what": key, "keys": 1}
    assert await hit(owner) == "MISS"
    assert await clear(tag="queues") == {"what": "queues", "keys": None}
    assert await hit(owner) == "MISS"
    assert (await clear(area="owner"))["keys"] >= 1
    assert [await hit(owner), await hit(owner)] == ["MISS", "HIT"]
    assert (await clear(all=True))["what"] == "all"
    assert await hit(owner) == "MISS"
    rows = await admin.fetch("SELECT resource_id, after FROM audit_log WHERE action = 'owner.cache.clear' ORDER BY id")
    assert [row["resource_id"] for row in rows] == [key, "queues", "owner", "all"]
    assert json.loads(rows[0]["after"]) == {"key": key, "keys": 1}


async def test_what_is_no_cached_value_cannot_be_dropped(owner: AsyncClient, cache: Cache) -> None:
    await cache.redis.set("{teknav-test}:ai-content:id", "7")
    for what, field in (
        ({"key": "{teknav-test}:ai-content:id"}, "key"),
        ({"key": "teknav:test:owner:queues:answersX"}, "key"),
        ({"key": "teknav:test:owner:queues:answers:v1:of:\0"}, "key"),
        ({"tag": "none"}, "tag"),
        ({"area": "none"}, "area"),
        ({}, "key"),
        ({"all": True, "tag": "queues"}, "key"),
    ):
        answer = await owner.post(f"{API}/clear", json=what)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), what
        pressed = await owner.post(f"{PAGES}/clear", data=what, headers=HTMX)
        assert pressed.status_code in (400, 422), what
    assert await cache.redis.exists("{teknav-test}:ai-content:id")


async def test_the_buttons_of_the_pages_drop_too(owner: AsyncClient) -> None:
    await hit(owner)
    page = await owner.get(f"{PAGES}/keys")
    assert "owner:queues:answers:v1" in page.text and "not cached" in page.text
    dropped = await owner.post(f"{PAGES}/clear", data={"tag": "queues"}, headers=HTMX)
    assert json.loads(dropped.headers["HX-Trigger"])["toast"]["message"] == "Dropped queues"
    assert 'id="cache"' in dropped.text
    await hit(owner)
    keys = (await owner.get(f"{API}/keys")).json()["items"]
    key = next(one["key"] for one in keys if one["kind"])
    dropped = await owner.post(f"{PAGES}/clear", data={"key": key}, headers=HTMX)
    assert 'id="cache-keys"' in dropped.text
    assert await hit(owner) == "MISS"


async def test_without_redis_the_page_says_so_and_drops_are_refused(
    app: Litestar, owner: AsyncClient, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone() -> None:
        raise ConnectionError("nobody is there")

    monkeypatch.setattr(cache.redis.health, "_probe", gone)
    try:
        found = (await owner.get(f"{API}/stats")).json()
        assert (found["redis"]["ok"], found["redis"]["usedBytes"]) == (False, None)
        assert found["outages"][0]["error"] == "nobody is there" and found["outages"][0]["endedAt"] is None
        page = (await owner.get(PAGES)).text
        assert "Redis does not serve just now" in page and "still away" in page
        refused = await owner.post(f"{API}/clear", json={"tag": "queues"})
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert await hit(owner) in ("MISS", "HIT"), "from memory and the source"
    finally:
        monkeypatch.undo()
    assert (await cache.redis.ping()).ok
    assert (await owner.get(f"{API}/stats")).json()["outages"][0]["endedAt"] is not None


def insight(**changed: Any) -> Insight:
    usual = Insight("Valkey", "9.1", 1, 10, 100, "noeviction", 1, 1, 1, 0, True, "master")
    return msgspec.convert(msgspec.to_builtins(usual) | changed, Insight)


@pytest.mark.promise("S0-4")
@pytest.mark.parametrize(
    ("changed", "apart", "says"),
    [
        ({}, False, ""),
        ({"policy": "allkeys-lru"}, False, "drops jobs"),
        ({"policy": "allkeys-lru"}, True, ""),
        ({"policy": "noeviction"}, True, "nothing more is kept"),
        ({"most_bytes": 0}, True, "may grow"),
        ({"used_bytes": 95}, False, "nine tenths"),
        ({"role": "slave"}, False, "replica"),
        ({"evicted": 3}, False, "3 keys have been evicted"),
    ],
)
def test_a_redis_that_is_set_up_wrong_is_warned_of(changed: dict[str, Any], apart: bool, says: str) -> None:
    told = warnings(insight(**changed), apart=apart)
    assert says in " ".join(told) if says else told == []


async def test_the_command_does_what_the_page_does(teknav: Teknav, owner: AsyncClient, cache: Cache) -> None:
    await hit(owner)
    await cache.history.flush(cache.claims.figures)
    found = json.loads(await teknav("cache", "stats", "--json"))
    kind = next(one for one in found["kinds"] if one["name"] == "owner:queues:answers")
    assert (kind["misses"], kind["loads"]) == (1, 1)
    assert "owner:queues:answers" in await teknav("cache", "stats")
    assert "owner:queues:answers:v1" in await teknav("cache", "top")
    assert "Dropped queues" in await teknav("cache", "drop", "--tag", "queues")
    assert "must be one of" in await teknav("cache", "drop", "--tag", "none", code=1)
    assert "name one of" in await teknav("cache", "drop", code=1)
    cache.claims.memory.clear()
    assert await hit(owner) == "MISS"
