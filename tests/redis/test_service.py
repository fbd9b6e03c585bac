"""The Redis service against a real Valkey, and against none."""

import time
from collections.abc import AsyncGenerator

import msgspec
import pytest
from litestar import Litestar
from redis.exceptions import RedisError
from structlog.testing import capture_logs
from upstash_redis.errors import UpstashError

from app.core.errors import Unavailable
from app.core.settings import Settings
from app.redis import service as module
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
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
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


@pytest.mark.promise("S4-19")
async def test_values_travel_over_the_rest_api(redis: RedisService, settings: Settings) -> None:
    async with upstash(redis.client, "rest-token") as address:
        own = msgspec.structs.replace(settings, upstash_redis_rest_url=address, upstash_redis_rest_token="rest-token")
        remote = RedisService(own)
        await remote.set_via_rest("far", "away", ttl_s=60)
        assert await remote.get_via_rest("far") == "away" == await redis.get("far")
        assert 59 <= await redis.client.ttl("far") <= 60
        await remote.close()
        stranger = RedisService(msgspec.structs.replace(own, upstash_redis_rest_token="wrong"))
        with pytest.raises(UpstashError, match="Unauthorized"):
            await stranger.get_via_rest("far")
        await stranger.close()


async def test_without_a_rest_address_the_call_says_which_setting_is_missing(redis: RedisService) -> None:
    with pytest.raises(Unavailable, match="UPSTASH_REDIS_REST_URL"):
        await redis.get_via_rest("x")
