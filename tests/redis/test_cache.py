"""The typed cache against a real Valkey: one load for many, drops that hold, and two caches as two processes."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import msgspec
import pytest
from litestar import Litestar
from structlog.testing import capture_logs

from app.core.database import Database
from app.core.policy import Actor
from app.core.settings import Settings
from app.redis import claims, codec
from app.redis.cache import Cache, drop
from app.redis.cached import Cached, of_tenant
from app.redis.connection import hasty, patient
from app.redis.health import Health
from app.redis.memory import Kept, Memory
from app.redis.service import RedisService
from app.redis.store import lease_of


class Thing(msgspec.Struct, frozen=True):
    name: str
    count: int = 0


THING = Cached("test", "things", "one", Thing, 30, ("things",), "A thing of a test.")
TENANTS_THING = Cached("test", "things", "own", Thing, 30, ("things",), "A tenant's thing.", per_tenant=True)
TEXT = Cached("test", "texts", "one", str, 30, (), "A text.")
Open = Callable[[], Cache]


@pytest.fixture
async def opened(app: Litestar, settings: Settings) -> AsyncGenerator[Open, None]:
    """Makes caches as processes have them: each with links and a memory of its own, and listening."""
    made: list[tuple[Cache, RedisService, asyncio.Task[None], object]] = []

    def make() -> Cache:
        redis, subscriber = RedisService(settings, hasty(settings.redis_url)), patient(settings.redis_url)
        cache = Cache(redis, settings, subscriber)
        made.append((cache, redis, asyncio.create_task(cache.run()), subscriber))
        return cache

    yield make
    for cache, redis, task, subscriber in made:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await cache.close()
        await redis.close()
        await redis.client.aclose()
        await subscriber.aclose()  # type: ignore[attr-defined]


@pytest.fixture
async def cache(opened: Open) -> Cache:
    return opened()


def loader(*values: object) -> tuple[list[float], Callable[[], Awaitable[object]]]:
    """A source that gives one value after the other, the last one for ever; and when it was asked."""
    asked: list[float] = []

    async def load() -> object:
        asked.append(time.monotonic())
        return values[min(len(asked), len(values)) - 1]

    return asked, load


async def eventually(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0.005)


@pytest.mark.promise("S4-24", "S4-25")
async def test_values_are_typed_and_lie_under_the_designed_keys(cache: Cache, settings: Settings) -> None:
    place = THING.place("7")
    assert place.key(settings) == "teknav:test:test:things:one:v1:of:7"
    assert await cache.cache_get_json(place) is None
    assert await cache.cache_set_json(place, Thing("seven", 7))
    assert await cache.cache_get_json(place) == Thing("seven", 7)
    cache.claims.memory.clear()
    assert await cache.cache_get_json(place) == Thing("seven", 7)
    left_ms = await cache.redis.client.pttl(place.key(settings))
    assert 26_000 < left_ms <= 30_000
    asked, load = loader(Thing("loaded"))
    assert await cache.cache_wrap(place, load) == Thing("seven", 7)
    assert await cache.cache_wrap(THING.place("8"), load) == Thing("loaded")
    assert await cache.cache_wrap(THING.place("8"), load) == Thing("loaded")
    assert len(asked) == 1
    tenant, viewer = UUID(int=1), UUID(int=2)
    assert TENANTS_THING.place(tenant=tenant, viewer=viewer).key(settings).endswith(f"own:v1:t:{tenant}:u:{viewer}")
    with pytest.raises(ValueError, match="depends on a tenant"):
        TENANTS_THING.place("7")


async def test_values_that_were_kept_together_do_not_all_end_together(cache: Cache, settings: Settings) -> None:
    places = [THING.place(str(n)) for n in range(100)]
    await asyncio.gather(*(cache.cache_set_json(place, Thing("one")) for place in places))
    lives_ms = [await cache.redis.client.pttl(place.key(settings)) for place in places]
    assert min(lives_ms) > 25_000 and max(lives_ms) <= 30_000, "none lives longer than its kind says"
    assert max(lives_ms) - min(lives_ms) > 1_500


async def test_what_lies_there_in_another_shape_is_loaded_anew(cache: Cache, settings: Settings) -> None:
    place = THING.place("odd")
    for odd in ("nonsense", "p 30000 \n{}", "z 30000 \nno zlib", "p x\n"):
        with capture_logs():
            await cache.redis.client.set(place.key(settings), odd, px=30_000)
            asked, load = loader(Thing("right"))
            assert await cache.cache_get_json(place) is None
            assert await cache.cache_wrap(place, load) == Thing("right")
            assert asked
            await eventually(lambda: not cache.claims._tasks)
        await cache.forget(place.key(settings))


@pytest.mark.promise("S4-26")
async def test_values_up_to_512_kb_are_kept_and_larger_ones_are_handed_out_only(
    cache: Cache, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "COMPRESSED_FROM", 10**9)
    head = len(codec.pack(b"", 30_000, []))
    fits = "x" * (codec.MOST_BYTES - head - 2)
    assert codec.MOST_BYTES == 512 * 1024
    for text, stored in ((fits, True), (fits + "x", False)):
        assert await cache.cache_set_json(TEXT.place("large"), text) is stored
        # A life of five digits for both, so that the first line is as long.
        key = TEXT.place("large" + str(stored)).key(settings)
        _, load = loader(text)
        assert await cache.cache_wrap(TEXT.place("large" + str(stored)), load) == text
        assert bool(await cache.redis.exists(key)) is stored
    assert cache.claims.figures.total["test:texts:one", "too_large"] == 2


async def test_a_value_that_is_too_large_leaves_no_older_one(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "COMPRESSED_FROM", 10**9)
    one, other, place = opened(), opened(), TEXT.place("grown")
    assert await one.cache_set_json(place, "small")
    assert not await one.cache_set_json(place, "x" * codec.MOST_BYTES)
    assert await other.cache_get_json(place) is None


async def test_a_load_that_became_too_large_leaves_no_older_one_and_no_lease(
    opened: Open, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "COMPRESSED_FROM", 10**9)
    monkeypatch.setattr(claims, "DUE_AFTER", 0.0)
    one, place = opened(), TEXT.place("grows")
    assert await one.cache_set_json(place, "small")
    large = "x" * codec.MOST_BYTES
    _, load = loader(large)
    one.claims.memory.clear()
    assert await one.cache_wrap(place, load) == "small", "due, so it is loaded anew behind it"
    key = place.key(settings)
    await eventually(lambda: not one.claims._tasks)
    assert await one.redis.client.exists(key, lease_of(key)) == 0
    assert await one.cache_wrap(place, load) == large


async def test_a_message_that_nobody_can_read_does_not_end_the_hearing(opened: Open) -> None:
    one, other = opened(), opened()
    heard: list[Collection[str]] = []
    other.on_drop.append(heard.append)
    for message in (None, b"\xff\xfe", b"no json"):
        if message is not None:
            assert await one.redis.client.publish(one._store.channel, message) >= 2
        heard.clear()
        async with asyncio.timeout(5):
            while not heard:
                await one.drop("things")
                await asyncio.sleep(0.005)
        await eventually(lambda: len(other.claims.memory) == 0)


async def test_what_is_dropped_while_debts_are_paid_is_paid_with_them(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = cache._store.mark
    marked: list[set[str]] = []

    async def slowly(tags: Iterable[str]) -> None:
        marked.append({*tags})
        if len(marked) == 1:
            with monkeypatch.context() as coming_back:
                coming_back.setattr(Health, "ok", False)
                await cache.drop("later")
        await mark(tags)

    monkeypatch.setattr(cache._store, "mark", slowly)
    await cache.drop("things")
    assert marked == [{"things"}, {"later"}]


async def test_large_values_are_compressed_and_come_back_as_they_were(cache: Cache, settings: Settings) -> None:
    text = json.dumps([str(uuid4())[:4] + " ünïcode \U0001f600" for _ in range(20_000)])
    assert len(text.encode()) > codec.MOST_BYTES
    assert await cache.cache_set_json(TEXT.place("long"), text)
    cache.claims.memory.clear()
    assert await cache.cache_get_json(TEXT.place("long")) == text
    assert await cache.redis.client.strlen(TEXT.place("long").key(settings)) < len(text.encode()) / 2


async def test_a_thousand_callers_are_served_by_one_load_over_two_processes(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound in ("app.redis.flight.REDIS_S", "app.redis.connection.HASTY_S"):
        monkeypatch.setattr(bound, 30.0)  # on a busy machine Redis may be slow, and a process would load by itself
    one, other = opened(), opened()
    loads, go = 0, asyncio.Event()

    async def load() -> Thing:
        nonlocal loads
        loads += 1
        await go.wait()
        return Thing("shared", loads)

    place = THING.place("crowd")
    asking = [asyncio.create_task(cache.cache_wrap(place, load)) for cache in [one, other] * 500]
    await eventually(lambda: loads and one.claims._flights and other.claims._flights)
    go.set()
    assert {*await asyncio.gather(*asking)} == {Thing("shared", 1)}
    assert loads == 1


async def test_another_process_is_not_waited_for_in_vain(opened: Open, settings: Settings) -> None:
    """It may have died with the lease."""
    cache = opened()
    place = THING.place("orphan")
    await cache.redis.client.set(f"{place.key(settings)}:lease", "of the dead", px=10_000)
    began = time.monotonic()
    asked, load = loader(Thing("own"))
    assert await cache.cache_wrap(place, load) == Thing("own")
    assert asked[0] - began < 0.25 + 0.2
    await eventually(lambda: not cache.claims._tasks)
    assert await cache.redis.exists(place.key(settings))


async def test_cancelling_callers_disturbs_neither_the_load_nor_the_others(cache: Cache) -> None:
    go = asyncio.Event()
    ended = []

    async def load() -> Thing:
        await go.wait()
        ended.append(True)
        return Thing("kept")

    place = THING.place("left")
    callers = [asyncio.create_task(cache.cache_wrap(place, load)) for _ in range(20)]
    await eventually(lambda: cache.claims._flights)
    await asyncio.sleep(0)
    for caller in callers[::2]:  # the first, who began the load, among them
        caller.cancel()
    await asyncio.sleep(0)
    go.set()
    found = await asyncio.gather(*callers, return_exceptions=True)
    assert [one for one in found if isinstance(one, Thing)] == [Thing("kept")] * 10
    assert ended == [True]


async def test_a_caller_cancelled_before_its_load_began_leaves_the_right_to_load_to_the_next(cache: Cache) -> None:
    place = THING.place("early")
    asked, load = loader(Thing("second"))
    first = asyncio.create_task(cache.cache_wrap(place, load))
    second = asyncio.create_task(cache.cache_wrap(place, load))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    assert await second == Thing("second")
    with suppress(asyncio.CancelledError):
        await first
    assert len(asked) == 1


async def test_what_a_load_raises_reaches_all_who_wait_and_is_not_kept(cache: Cache) -> None:
    loads = 0

    async def load() -> Thing:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.01)
        raise LookupError("no such thing")

    place = THING.place("wrong")
    found = await asyncio.gather(*(cache.cache_wrap(place, load) for _ in range(50)), return_exceptions=True)
    assert all(isinstance(one, LookupError) for one in found)
    assert loads == 1
    _, good = loader(Thing("good"))
    assert await cache.cache_wrap(place, good) == Thing("good")


async def test_a_value_is_loaded_anew_before_it_expires_while_others_are_served_the_old_one(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "DUE_AFTER", 0.05)
    short = Cached("test", "things", "short", Thing, 2, (), "A thing that is soon due.")
    go = asyncio.Event()
    loads = 0

    async def load() -> Thing:
        nonlocal loads
        loads += 1
        if loads > 1:
            await go.wait()
        return Thing("load", loads)

    assert await cache.cache_wrap(short.place(), load) == Thing("load", 1)
    async with asyncio.timeout(2):
        while loads < 2:
            assert await cache.cache_wrap(short.place(), load) == Thing("load", 1)
            await asyncio.sleep(0.01)
    assert {await cache.cache_wrap(short.place(), load) for _ in range(50)} == {Thing("load", 1)}
    go.set()
    async with asyncio.timeout(2):
        while await cache.cache_wrap(short.place(), load) != Thing("load", 2):
            await asyncio.sleep(0.01)
    assert cache.claims.figures.total["test:things:short", "early"] == 1


@pytest.mark.promise("S2-32")
async def test_a_drop_reaches_every_process_and_the_memory_of_each(opened: Open) -> None:
    one, other = opened(), opened()
    asked, load = loader(Thing("old"), Thing("new"))
    place = THING.place("dropped")
    async with asyncio.timeout(5):
        while (await one.redis.client.pubsub_numsub(one._store.channel))[0][1] < 3:  # the app listens too
            await asyncio.sleep(0.01)
        # Memory begins when listening does.
        while not all(cache.claims.memory.get(place.key(one._settings)) for cache in (one, other)):
            assert await one.cache_wrap(place, load) == await other.cache_wrap(place, load) == Thing("old")
            await asyncio.sleep(0.01)
    await one.drop("things")
    assert await one.cache_wrap(place, load) == Thing("new")
    await eventually(lambda: other.claims.memory.get(place.key(one._settings)) is None)
    assert await other.cache_wrap(place, load) == Thing("new")
    assert len(asked) == 2


async def test_a_lost_signal_hides_a_change_for_the_short_life_of_memory_only(
    opened: Open, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.redis.memory.SHORT_LIFE_S", 0.2)
    redis = RedisService(settings, hasty(settings.redis_url))
    deaf = Cache(redis, settings, redis.client)  # it does not run
    deaf.claims.memory = Memory(life_s=0.2)
    teller = opened()
    _, load = loader(Thing("old"), Thing("new"))
    try:
        assert await deaf.cache_wrap(THING.place("deaf"), load) == Thing("old")
        await eventually(lambda: not deaf.claims._tasks)
        await teller.drop("things")
        changed = time.monotonic()
        async with asyncio.timeout(2):
            while await deaf.cache_wrap(THING.place("deaf"), load) != Thing("new"):
                await asyncio.sleep(0.01)
        assert time.monotonic() - changed < 1
    finally:
        await deaf.close()
        await redis.client.aclose()


async def test_a_load_that_began_before_a_drop_is_not_kept_and_nobody_joins_it(opened: Open) -> None:
    one, other = opened(), opened()
    go, began = asyncio.Event(), asyncio.Event()
    place = THING.place("raced")

    async def slow() -> Thing:
        began.set()
        await go.wait()
        return Thing("before the change")

    early = asyncio.create_task(one.cache_wrap(place, slow))
    await began.wait()
    await other.drop("things")
    await eventually(lambda: not one.claims._flights)
    _, load = loader(Thing("after the change"))
    assert await one.cache_wrap(place, load) == Thing("after the change"), "it must not join the older load"
    go.set()
    assert await early == Thing("before the change")
    for cache in (one, other, one, other):
        assert await cache.cache_wrap(place, load) == Thing("after the change")
        cache.claims.memory.clear()


async def test_a_load_under_way_cannot_store_what_was_forgotten_by_its_key(opened: Open, settings: Settings) -> None:
    one, other = opened(), opened()
    go, began = asyncio.Event(), asyncio.Event()
    place = TEXT.place("forgotten")

    async def slow() -> str:
        began.set()
        await go.wait()
        return "before"

    early = asyncio.create_task(one.cache_wrap(place, slow))
    await began.wait()
    await other.forget(place.key(settings))
    go.set()
    assert await early == "before"
    assert not await other.redis.exists(place.key(settings))


async def test_lost_marks_make_values_invalid_and_never_valid_again(cache: Cache, settings: Settings) -> None:
    """An evicting Redis may lose the mark and keep the value."""
    place = THING.place("evicted")
    _, load = loader(Thing("old"), Thing("new"))
    await cache.cache_wrap(place, load)
    await eventually(lambda: not cache.claims._tasks)
    assert await cache.redis.delete(settings.key("cache", "tag", "things")) == 1
    cache.claims.memory.clear()
    assert await cache.cache_wrap(place, load) == Thing("new")


async def test_a_kind_is_dropped_whole(opened: Open, settings: Settings) -> None:
    one, other = opened(), opened()
    for n in range(30):
        await one.cache_set_json(TEXT.place(str(n)), "x")
    await one.cache_set_json(THING.place("kept"), Thing("kept"))
    assert await other.cache_get_json(TEXT.place("3")) == "x"
    walks = (await one.redis.client.info("commandstats")).get("cmdstat_scan", {"calls": 0})["calls"]
    assert await one.drop_kinds([TEXT, TENANTS_THING]) == 30
    assert (await one.redis.client.info("commandstats"))["cmdstat_scan"]["calls"] == walks + 1, "one walk for all kinds"
    await eventually(lambda: len(other.claims.memory) == 0)
    assert await one.cache_get_json(TEXT.place("3")) is None
    assert await one.cache_get_json(THING.place("kept")) == Thing("kept")


async def test_a_drop_of_a_transaction_happens_with_its_commit_and_not_without(
    app: Litestar, database: Database, operator: Actor
) -> None:
    cache: Cache = app.state.process.cache
    _, load = loader(Thing("first"), Thing("second"))
    place = THING.place("committed")
    assert await cache.cache_wrap(place, load) == Thing("first")
    with suppress(LookupError):
        async with database.transaction(operator.scope) as session:
            drop(session, "things")
            raise LookupError
    assert await cache.cache_wrap(place, load) == Thing("first")
    async with database.transaction(operator.scope) as session:
        drop(session, "things", "others")
        drop(session, "things")
        assert await cache.cache_wrap(place, load) == Thing("first")
    assert await cache.cache_wrap(place, load) == Thing("second")


async def test_ten_thousand_reads_of_two_tenants_never_cross(opened: Open) -> None:
    caches = [opened(), opened()]
    tenants = [UUID(int=1), UUID(int=2)]
    crossed = 0

    async def one(n: int) -> None:
        nonlocal crossed
        cache, tenant = caches[n % 3 % 2], tenants[n % 7 % 2]

        async def load() -> Thing:
            await asyncio.sleep(0)
            return Thing(str(tenant), n)

        found = await cache.cache_wrap(TENANTS_THING.place(str(n % 5), tenant=tenant), load)
        crossed += found.name != str(tenant)
        if n % 499 == 0:
            await cache.drop("things")
        if n % 151 == 0:
            cache.claims.memory.clear()

    for start in range(0, 10_000, 200):
        await asyncio.gather(*(one(n) for n in range(start, start + 200)))
    assert crossed == 0
    total = sum(sum(cache.claims.figures.total.values()) for cache in caches)
    assert total > 10_000


async def test_what_is_kept_per_tenant_is_dropped_for_one_or_for_all(cache: Cache) -> None:
    one, other = (TENANTS_THING.place(tenant=UUID(int=n)) for n in (1, 2))
    assert set(one.tags) == {"things", of_tenant("things", UUID(int=1))}

    async def kept() -> list[bool]:
        cache.claims.memory.clear()
        return [await cache.cache_get_json(place) is not None for place in (one, other)]

    for tag, left in ((of_tenant("things", UUID(int=1)), [False, True]), ("things", [False, False])):
        for place in (one, other):
            assert await cache.cache_set_json(place, Thing("x"))
        await cache.drop(tag)
        assert await kept() == left


async def test_slow_loads_are_those_of_today_and_yesterday(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    days = [datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(days=n) for n in range(3)]
    for number, day in enumerate(days):
        monkeypatch.setattr("app.redis.history.datetime", SimpleNamespace(now=lambda _, day=day: day))
        for key, took_s in ((f"day{number}", number + 1), ("each", 9 - number)):
            cache.claims.figures.loaded("test", key, took_s)
        await cache.history.flush(cache.claims.figures)
    found = await cache.history.slow(10)
    assert [(one.key, one.ms) for one in found] == [("each", 8000), ("day2", 3000), ("day1", 2000)]


def test_memory_is_bounded_by_entries_and_bytes_and_lets_the_oldest_go() -> None:
    now = time.monotonic()

    def kept(size: int) -> Kept:
        return Kept(b"x" * size, now, time.monotonic(), now + 60, now + 60)

    memory = Memory(entries=10, size=1000)
    for n in range(20):
        memory.put(str(n), kept(10), ())
    assert len(memory) == 10
    assert memory.get("9") is None
    assert memory.get("10") is not None
    memory.put("20", kept(10), ())
    assert memory.get("10") is not None, "it was used last"
    assert memory.get("11") is None
    for n in range(10):
        memory.put(f"large{n}", kept(120), ())
    assert memory.bytes <= 1000
    memory.put("too large", kept(126), ())
    assert memory.get("too large") is None
    memory.clear()
    assert (len(memory), memory.bytes) == (0, 0)
