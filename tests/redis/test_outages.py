"""The cache without Redis, and with half of one: right, soon, and back by itself."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from litestar import Litestar
from redis import exceptions
from structlog.testing import capture_logs

from app.core.settings import Settings
from app.embedded.valkey import Valkey
from app.redis.cache import Cache
from app.redis.cached import Cached
from app.redis.connection import hasty, patient
from app.redis.health import Health
from app.redis.link import Link
from app.redis.service import RedisService
from tests.redis.proxy import Proxy

NUMBER = Cached("test", "numbers", "one", int, 30, ("numbers",), "A number.")
MOST_S = 0.25
"""What a request may spend on Redis. A busy machine adds as much again before the clock is looked at."""
Fault = Callable[[Link, Settings], Awaitable[Callable[[], Awaitable[object]]]]
Open = Callable[[str], Cache]


@pytest.fixture
async def opened(app: Litestar, settings: Settings) -> AsyncGenerator[Open, None]:
    made: list[tuple[Cache, Link, Link, asyncio.Task[None]]] = []

    def make(url: str) -> Cache:
        client, subscriber = hasty(url), patient(url)
        cache = Cache(RedisService(settings, client), settings, subscriber)
        made.append((cache, client, subscriber, asyncio.create_task(cache.run())))
        return cache

    yield make
    for cache, client, subscriber, task in made:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await cache.close()
        await cache.redis.close()
        await client.aclose()
        await subscriber.aclose()


@pytest.fixture
async def link(app: Litestar, settings: Settings) -> AsyncGenerator[Link, None]:
    """A way to the server beside the cache's own."""
    link = patient(settings.redis_url)
    yield link
    await link.aclose()


def through(settings: Settings, port: int) -> str:
    return f"redis://:{urlsplit(settings.redis_url).password}@127.0.0.1:{port}/0"


async def until_ok(cache: Cache) -> None:
    async with asyncio.timeout(10):
        while not cache.redis.health.ok:
            await asyncio.sleep(0.01)


async def asked_many_times(cache: Cache, source: Callable[[], Awaitable[int]], times: int = 40) -> list[float]:
    """How long each of these took, in seconds; all of them are right."""
    took = []
    for n in range(times):
        cache.claims.memory.clear()
        began = time.perf_counter()
        assert await cache.cache_wrap(NUMBER.place(str(n % 3)), source) == 7
        took.append(time.perf_counter() - began)
    return took


async def seven() -> int:
    return 7


async def out_of_memory(link: Link, settings: Settings) -> Callable[[], Awaitable[object]]:
    await link.config_set("maxmemory", "1kb")
    return lambda: link.config_set("maxmemory", "0")


async def read_only(link: Link, settings: Settings) -> Callable[[], Awaitable[object]]:
    parts = urlsplit(settings.redis_url)
    await link.config_set("replica-serve-stale-data", "yes")
    await link.config_set("masterauth", str(parts.password))
    # The replica of a server that is not there: it answers reads, and refuses writes.
    await link.execute_command("REPLICAOF", "127.0.0.1", "1")
    return lambda: link.execute_command("REPLICAOF", "NO", "ONE")


async def password_changed(link: Link, settings: Settings) -> Callable[[], Awaitable[object]]:
    await link.config_set("requirepass", "another password altogether")
    await link.execute_command("CLIENT", "KILL", "SKIPME", "yes", "TYPE", "normal")
    return lambda: link.config_set("requirepass", str(urlsplit(settings.redis_url).password))


@pytest.mark.promise("S4-22")
@pytest.mark.parametrize("fault", [out_of_memory, read_only, password_changed])
async def test_a_redis_that_answers_and_does_not_serve_is_treated_as_gone(
    fault: Fault, opened: Open, link: Link, settings: Settings
) -> None:
    cache = opened(settings.redis_url)
    await asked_many_times(cache, seven, 6)
    assert cache.redis.health.ok
    mend = await fault(link, settings)
    try:
        await cache.redis.delete(
            *[NUMBER.place(str(n)).key(settings) for n in range(3)]
        ) if fault is out_of_memory else 0
        with capture_logs() as logs:
            took = await asked_many_times(cache, seven)
            await cache.drop("numbers")
            async with asyncio.timeout(10):
                while not cache.redis.health.outages:
                    await cache.drop("numbers")
                    await asyncio.sleep(0.01)
            assert not (await cache.redis.ping()).ok
        assert not cache.redis.health.ok
        assert max(took) < MOST_S * 2, took
        assert [line["event"] for line in logs if line["event"].startswith("redis.")] == ["redis.down"]
    finally:
        await mend()
    await until_ok(cache)
    assert (await cache.redis.ping()).ok
    assert cache.redis.health.outages[0].ended_at is not None
    assert await cache.history.outages()
    assert await cache.cache_set_json(NUMBER.place("back"), 7)


@pytest.mark.promise("S4-22")
async def test_while_redis_is_killed_reads_go_on_and_it_is_used_again_by_itself(
    opened: Open, settings: Settings, tmp_path: Path
) -> None:
    """A server of its own, since the others' must not die."""
    valkey = Valkey(tmp_path, None, fast=True)
    await asyncio.to_thread(valkey.start)
    place = NUMBER.place("kept")
    try:
        cache, other = opened(valkey.url), opened(valkey.url)
        await asked_many_times(cache, seven, 6)
        assert await cache.cache_wrap(place, seven) == 7
        valkey.process.kill()

        async def eight() -> int:
            return 8

        assert await cache.cache_wrap(place, eight) == 7, "from memory"
        took = await asked_many_times(cache, seven)
        assert max(took) < MOST_S, took
        assert await cache.cache_wrap(NUMBER.place("new"), eight) == 8
        await cache.drop("numbers")
        assert await cache.cache_wrap(place, eight) == 8, "a drop is heard without Redis"
        async with asyncio.timeout(10):
            while not cache.redis.health.outages:
                await asyncio.sleep(0.01)
        await asyncio.to_thread(valkey.start)
        for one in (cache, other):
            await until_ok(one)
        assert cache.redis.health.outages[0].ended_at is not None
        assert await cache.cache_set_json(NUMBER.place("back"), 9)
        assert await other.cache_get_json(NUMBER.place("back")) == 9
        # Signals are heard again: who subscribed to the dead one has subscribed anew.
        async with asyncio.timeout(10):
            while await other.cache_get_json(NUMBER.place("back")) is not None:
                await cache.drop("numbers")
                await asyncio.sleep(0.01)
    finally:
        await asyncio.to_thread(valkey.stop)


async def test_a_frozen_redis_holds_one_request_up_and_no_other(opened: Open, settings: Settings) -> None:
    parts = urlsplit(settings.redis_url)
    proxy = Proxy(str(parts.hostname), int(parts.port or 0))
    async with proxy.listening() as port:
        cache = opened(through(settings, port))
        await asked_many_times(cache, seven, 6)
        proxy.thawed.clear()
        took = await asked_many_times(cache, seven)
        assert took[0] < MOST_S * 2
        assert sorted(took)[-2] < 0.1, took
        began = time.perf_counter()
        await cache.drop("numbers")
        assert time.perf_counter() - began < 0.1
        proxy.thawed.set()
        await until_ok(cache)
        assert await cache.cache_set_json(NUMBER.place("back"), 7)


async def test_a_slow_redis_costs_a_request_less_than_half_a_second(opened: Open, settings: Settings) -> None:
    """Each answer comes, and each comes late: what is slow is asked no more until it is quick."""
    parts = urlsplit(settings.redis_url)
    proxy = Proxy(str(parts.hostname), int(parts.port or 0), delay_ms=180)
    async with proxy.listening() as port:
        cache = opened(through(settings, port))
        took = await asked_many_times(cache, seven, 8)
        assert max(took) < MOST_S * 2, took
        proxy.delay_ms = 0
        await until_ok(cache)


async def test_without_redis_memory_serves_for_its_short_life_and_changes_are_seen(
    opened: Open, settings: Settings
) -> None:
    cache = opened("redis://127.0.0.1:1/0")
    loads = 0

    async def load() -> int:
        nonlocal loads
        loads += 1
        return loads

    place = NUMBER.place("alone")
    assert [await cache.cache_wrap(place, load) for _ in range(100)] == [1] * 100
    assert await asyncio.gather(*(cache.cache_wrap(NUMBER.place("many"), load) for _ in range(100))) == [2] * 100
    await cache.drop("numbers")
    assert await cache.cache_wrap(place, load) == 3
    with pytest.raises(exceptions.RedisError):
        await cache.forget(place.key(settings))


async def test_a_drop_that_redis_did_not_hear_is_made_good_before_it_is_used_again(
    opened: Open, settings: Settings
) -> None:
    parts = urlsplit(settings.redis_url)
    proxy = Proxy(str(parts.hostname), int(parts.port or 0))
    values = iter((1, 2, 3))

    async def load() -> int:
        return next(values)

    place = NUMBER.place("owed")
    async with proxy.listening() as port:
        cache, other = opened(through(settings, port)), opened(settings.redis_url)
        assert await cache.cache_wrap(place, load) == 1
        proxy.thawed.clear()
        await cache.drop("numbers")
        assert not cache.redis.health.ok
        proxy.thawed.set()
        await until_ok(cache)
        assert await cache.cache_wrap(place, load) == 2
        other.claims.memory.clear()
        assert await other.cache_wrap(place, load) == 2


async def test_an_emptied_redis_is_an_empty_cache(opened: Open, link: Link, settings: Settings) -> None:
    cache = opened(settings.redis_url)
    await asked_many_times(cache, seven, 3)
    await link.flushall()
    assert max(await asked_many_times(cache, seven, 6)) < MOST_S
    assert cache.redis.health.ok


async def test_an_outage_is_noticed_within_ten_seconds_though_nobody_asks(
    opened: Open, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.redis import health

    assert health.WATCH_S < 10 - MOST_S
    monkeypatch.setattr(health, "WATCH_S", 0.05)
    parts = urlsplit(settings.redis_url)
    proxy = Proxy(str(parts.hostname), int(parts.port or 0))
    async with proxy.listening() as port:
        cache = opened(through(settings, port))
        proxy.thawed.clear()
        async with asyncio.timeout(5):
            while cache.redis.health.ok:
                await asyncio.sleep(0.01)
        proxy.thawed.set()
        await until_ok(cache)


async def test_two_who_find_redis_back_at_once_end_one_outage() -> None:
    away, together = True, asyncio.Barrier(2)

    async def probe() -> None:
        if away:
            raise exceptions.ConnectionError("away")

    async def recovered() -> None:
        await together.wait()

    health = Health(probe, recovered)
    health.failed(exceptions.ConnectionError("away"), certain=True)
    health.close()
    away = False
    async with asyncio.timeout(5):
        await asyncio.gather(health.check(), health.check())
    assert health.ok and len(health.outages) == 1


def test_the_cache_may_lie_in_another_redis_than_the_queues(settings: Settings) -> None:
    from app.process import Process

    one = Process.open(settings)
    assert one.redis.client is one.queue_redis, "one link for both"
    apart = Process.open(msgspec.structs.replace(settings, cache_redis_url="redis://127.0.0.1:6390/1"))
    assert apart.redis.client is not apart.queue_redis
