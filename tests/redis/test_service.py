"""The Redis service against a real Valkey, and against none."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from types import SimpleNamespace

import msgspec
import pytest
from litestar import Litestar
from redis.exceptions import RedisError
from structlog.testing import capture_logs

from app import checks
from app.core.errors import Unavailable
from app.core.settings import Settings
from app.redis import health, rest
from app.redis.rest import RestRefused
from app.redis.service import RedisService
from tests.redis.upstash_server import upstash


@pytest.fixture
async def redis(app: Litestar, settings: Settings) -> AsyncGenerator[RedisService, None]:
    service = RedisService(settings)
    yield service
    await service.close()


@pytest.fixture
async def nobody(settings: Settings) -> AsyncGenerator[RedisService, None]:
    """A service whose Redis is not there."""
    service = RedisService(msgspec.structs.replace(settings, redis_url="redis://127.0.0.1:1/0"))
    yield service
    await service.close()


@pytest.mark.promise("S4-20")
async def test_values_are_set_read_found_and_deleted(redis: RedisService, settings: Settings) -> None:
    key = settings.key("test", "thing", "one")
    assert await redis.get(key) is None
    await redis.set(key, "value", ttl_s=30)
    assert await redis.get(key) == "value"
    assert await redis.exists(key)
    assert 29_000 < await redis.client.pttl(key) <= 30_000
    assert await redis.delete(key, "not-there") == 1
    assert not await redis.exists(key)


@pytest.mark.promise("S4-20")
async def test_a_pattern_deletes_what_it_matches_and_nothing_else(redis: RedisService) -> None:
    for number in range(1200):
        await redis.client.set(f"teknav:test:area:{number}", "x")
    await redis.set("teknav:test:other", "kept")
    assert await redis.delete_by_pattern("teknav:test:area:*") == 1200
    assert await redis.get("teknav:test:other") == "kept"


@pytest.mark.promise("S4-20")
async def test_a_ping_tells_how_long_it_took(redis: RedisService) -> None:
    ping = await redis.ping()
    assert ping.ok
    assert ping.latency_ms > 0
    assert msgspec.json.decode(msgspec.json.encode(ping)) == {"ok": True, "latencyMs": ping.latency_ms}


@pytest.mark.promise("S4-23")
async def test_down_is_logged_once_in_five_minutes(nobody: RedisService, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    # Of this module alone: the loop's own clock must not jump.
    monkeypatch.setattr(health, "time", SimpleNamespace(monotonic=lambda: now, perf_counter=time.perf_counter))
    with capture_logs() as logs:
        for _ in range(5):
            assert not (await nobody.ping()).ok
        now += 301
        await nobody.ping()
    assert [line["event"] for line in logs] == ["redis.down", "redis.down"]


async def test_a_redis_that_is_away_answers_with_an_error_soon(nobody: RedisService) -> None:
    started = time.monotonic()
    with pytest.raises((RedisError, OSError)):
        await nobody.get("x")
    assert time.monotonic() - started < 2


@pytest.fixture
def elsewhere(settings: Settings) -> Callable[..., RedisService]:
    """Services of the REST address; what they open is closed with the loop."""
    return lambda address, token="rest-token": RedisService(
        msgspec.structs.replace(settings, upstash_redis_rest_url=address, upstash_redis_rest_token=token)
    )


@pytest.mark.promise("S4-19", "S4-21")
async def test_values_travel_over_the_rest_api(
    redis: RedisService, elsewhere: Callable[..., RedisService], settings: Settings
) -> None:
    async with upstash(redis.client, "rest-token") as address:
        remote = elsewhere(address)
        assert await remote.get_via_rest("far") is None
        await remote.set_via_rest("far", "away", ttl_s=60)
        assert await remote.get_via_rest("far") == "away" == await redis.get("far")
        assert 59 <= await redis.client.ttl("far") <= 60
        await remote.set_via_rest("plain", {"a": [1, "ü"]})
        assert msgspec.json.decode(await remote.get_via_rest("plain") or "") == {"a": [1, "ü"]}
        done = await remote.pipeline_via_rest([("SET", "n", 1), ("INCR", "n"), ("GET", "n"), ("MGET", "far", "none")])
        assert done == [True, 2, "2", ["away", None]]
        with pytest.raises(RestRefused, match="WRONGTYPE"):
            await remote.pipeline_via_rest([("INCR", "n"), ("LPUSH", "n", "x"), ("INCR", "n")])
        assert await redis.get("n") == "4", "the others have run"
        with pytest.raises(RestRefused, match="unknown command"):
            await remote.pipeline_via_rest([("NOSUCHCOMMAND",)])
        told = msgspec.structs.replace(settings, upstash_redis_rest_url=address)
        assert [one.level for one in await checks.rest(remote, told)] == ["ok"]
        await remote.close()
        stranger = elsewhere(address, "wrong")
        [warned] = await checks.rest(stranger, told)
        assert (warned.level, "Unauthorized" in warned.message) == ("warning", True)
        assert await checks.rest(stranger, settings) == []
        with pytest.raises(RestRefused, match="Unauthorized"):
            await stranger.get_via_rest("far")
        with pytest.raises(RestRefused, match="TOKEN"):
            await stranger.pipeline_via_rest([("GET", "far"), ("GET", "n")])
        await stranger.close()


async def test_a_rest_address_that_hangs_or_is_something_else_is_given_up(
    redis: RedisService, elsewhere: Callable[..., RedisService], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "REST_S", 0.1)
    hung = asyncio.Event()
    async with upstash(redis.client, "rest-token", hung=hung) as address:
        remote = elsewhere(address)
        with pytest.raises(Unavailable, match="did not answer"):
            await remote.get_via_rest("far")
        hung.set()
        monkeypatch.setattr(rest, "REST_S", 3.0)
        assert await remote.get_via_rest("far") is None
        await remote.close()
    async with upstash(redis.client, "rest-token", says=b"<html>Bad gateway</html>") as address:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await elsewhere(address).get_via_rest("far")
    with pytest.raises(Unavailable, match="cannot be reached: ConnectError"):
        await elsewhere("http://127.0.0.1:1").set_via_rest("far", "away")


async def test_without_a_rest_address_the_call_says_which_setting_is_missing(redis: RedisService) -> None:
    with pytest.raises(Unavailable, match="UPSTASH_REDIS_REST_URL"):
        await redis.get_via_rest("x")
