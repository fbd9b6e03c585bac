"""The cache as the owner sees it, and what the owner drops. What is dropped is audited."""

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from msgspec import convert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Invalid, Unavailable
from app.core.metrics import Metric, Sample
from app.core.policy import Actor
from app.modules.audit.service import record
from app.modules.cache.schemas import (
    CacheClear,
    CacheStats,
    Dropped,
    KeyRead,
    KeySample,
    KindRead,
    OutageRead,
    RedisRead,
    SlowRead,
)
from app.queues.push import queues_of
from app.redis.cache import Cache
from app.redis.cached import Cached
from app.redis.health import FAILURES
from app.redis.insight import Insight, largest, look, warnings
from app.redis.link import Link

T = TypeVar("T")
SLOW, LARGE = 20, 25


class CacheService:
    """`kinds` are those that modules declare, by name, each with its module's name."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor
        self._cache: Cache = session.info["cache"]
        self._kinds: dict[str, tuple[str, Cached[Any]]] = session.info["caches"]

    @property
    def tags(self) -> list[str]:
        return sorted({tag for _, kind in self._kinds.values() for tag in kind.tags})

    @property
    def areas(self) -> list[str]:
        return sorted({kind.area for _, kind in self._kinds.values()})

    async def stats(self) -> CacheStats:
        """Also while Redis is away: then with what this process knows."""
        ping = await self._cache.redis.ping()
        counted: Counter[tuple[str, str]] = self._cache.claims.figures.total
        insight, slow = None, []
        if ping.ok:
            try:
                insight = await look(self._cache.redis.client)
                await self._cache.history.flush(self._cache.claims.figures)
                counted = await self._cache.history.read()
                slow = await self._cache.history.slow(SLOW)
            except FAILURES as error:
                self._cache.redis.health.failed(error)
        return CacheStats(
            redis=_redis(insight, latency_ms=ping.latency_ms, apart=self._cache.apart),
            kinds=[_kind(module, kind, counted) for module, kind in self._kinds.values()],
            alone=sum(number for (_, what), number in counted.items() if what == "alone"),
            memory_entries=len(self._cache.claims.memory),
            memory_bytes=self._cache.claims.memory.bytes,
            slow=[SlowRead(key=one.key, ms=one.ms) for one in slow],
            outages=[convert(one, OutageRead, from_attributes=True) for one in await self._cache.history.outages()],
        )

    async def keys(self) -> KeySample:
        """
        Raises:
            Unavailable: Redis is away. So do all methods below.
        """
        sampled, found = await self._asked(lambda: largest(self._cache.redis.client, LARGE))
        items = [KeyRead(key=one.key, bytes=one.bytes, kind=self._kind_of(one.key)) for one in found]
        return KeySample(sampled=sampled, items=items)

    async def clear(self, wanted: CacheClear) -> Dropped:
        """
        Raises:
            Invalid: not one thing was named, or there is no such thing.
        """
        named = [name for name in ("key", "tag", "area", "all") if getattr(wanted, name)]
        if len(named) != 1:
            raise Invalid.field("key", "name one of key, tag, area and all")
        # Redis first: no transaction is open yet, and what cannot be dropped is not recorded as dropped.
        if wanted.key:
            done = await self._key(wanted.key)
        elif wanted.tag:
            done = await self._tag(wanted.tag)
        else:
            done = await self._area(wanted.area)
        after = {named[0]: getattr(wanted, named[0]), "keys": done.keys}
        resource = ("cache", done.what, done.what)
        await record(self._session, self._actor, "owner.cache.clear", resource=resource, before={}, after=after)
        return done

    async def _key(self, key: str) -> Dropped:
        if self._kind_of(key) is None or "\0" in key:
            raise Invalid.field("key", "is not the key of a cached value")
        there = await self._asked(lambda: self._cache.forget(key))
        return Dropped(what=key, keys=int(there))

    async def _tag(self, tag: str) -> Dropped:
        if tag not in self.tags:
            raise Invalid.field("tag", f"must be one of {', '.join(self.tags)}")
        await self._cache.drop(tag)
        if not self._cache.redis.health.ok:
            raise Unavailable("Redis does not serve just now; the tag is dropped here, and there when it is back")
        return Dropped(what=tag, keys=None)

    async def _area(self, area: str | None) -> Dropped:
        if area is not None and area not in self.areas:
            raise Invalid.field("area", f"must be one of {', '.join(self.areas)}")
        kinds = [kind for _, kind in self._kinds.values() if area in (None, kind.area)]
        return Dropped(what=area or "all", keys=await self._asked(lambda: self._cache.drop_kinds(kinds)))

    async def _asked(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return await ask()
        except FAILURES as error:
            self._cache.redis.health.failed(error)
            raise Unavailable("Redis does not serve just now", headers={"Retry-After": "2"}) from error

    def _kind_of(self, key: str) -> str | None:
        return next((name for name, (_, kind) in self._kinds.items() if self._cache.holds(kind, key)), None)


async def measured(session: AsyncSession) -> list[Metric]:
    """What the cache of this process did since it started."""
    cache: Cache = session.info["cache"]
    engine = queues_of(session).engine
    links = {"queues": engine.client} if engine else {}
    if cache.redis.client not in links.values():  # else one link serves both, and is counted once
        links["cache"] = cache.redis.client
    counted, memory, ping = cache.claims.figures.total, cache.claims.memory, await cache.redis.ping()

    def counter(name: str, text: str, whats: dict[str, str]) -> Metric:
        found = [
            Sample(number, {"kind": kind, **({"from": whats[what]} if whats[what] else {})})
            for (kind, what), number in sorted(counted.items())
            if what in whats
        ]
        return Metric(name, "counter", text, found)

    return [
        Metric("redis_up", "gauge", "1 while Redis answers and can be written to", [Sample(ping.ok)]),
        Metric("redis_latency_seconds", "gauge", "One round trip just now", [Sample(ping.latency_ms / 1000)]),
        *_traffic(links),
        Metric("cache_memory_bytes", "gauge", "Values in this process's memory", [Sample(memory.bytes)]),
        Metric("cache_memory_values", "gauge", "As many are in this process's memory", [Sample(len(memory))]),
        counter("cache_hits_total", "Values found", {"local": "memory", "redis": "redis", "shared": "another's load"}),
        counter("cache_misses_total", "Values not found", {"miss": ""}),
        counter("cache_loads_total", "Values loaded from their source", {"load": ""}),
        counter("cache_load_failures_total", "Loads that failed", {"failed": ""}),
        counter("cache_without_redis_total", "Values asked for while Redis did not serve", {"alone": ""}),
        counter("cache_too_large_total", "Values not kept because they are over 512 KB", {"too_large": ""}),
    ]


def _traffic(links: dict[str, Any]) -> list[Metric]:
    """What this process and Redis said to each other."""
    shown = {
        "redis_commands_total": ("commands", "Commands sent to Redis"),
        "redis_writes_total": ("writes", "Writes to Redis's socket: commands that came together left together"),
        "redis_connections_total": ("connections", "Connections begun: more than one is a reconnect"),
        "redis_timeouts_total": ("timeouts", "Callers that Redis did not answer in time"),
    }
    found = {name: link.traffic for name, link in links.items() if isinstance(link, Link)}
    return [
        Metric(name, "counter", text, [Sample(getattr(one, what), {"link": link}) for link, one in found.items()])
        for name, (what, text) in shown.items()
    ]


def _redis(found: Insight | None, *, latency_ms: float, apart: bool) -> RedisRead:
    if found is None:
        return RedisRead(ok=False, latency_ms=latency_ms, apart=apart)
    return RedisRead(
        ok=True,
        latency_ms=latency_ms,
        apart=apart,
        name=found.name,
        version=found.version,
        uptime_s=found.uptime_s,
        used_bytes=found.used_bytes,
        max_bytes=found.most_bytes,
        policy=found.policy,
        keys=found.keys,
        clients=found.clients,
        commands_per_s=found.per_s,
        evicted=found.evicted,
        warnings=warnings(found, apart=apart),
    )


def _kind(module: str, kind: Cached[Any], counted: Counter[tuple[str, str]]) -> KindRead:
    def number(what: str) -> int:
        return counted[kind.name, what]

    hits = number("local") + number("redis") + number("shared")
    asked, loads, stored = hits + number("miss"), number("load"), number("stored")
    return KindRead(
        name=kind.name,
        module=module,
        about=kind.about,
        ttl_s=kind.ttl_s,
        tags=kind.tags,
        local_hits=number("local"),
        redis_hits=number("redis"),
        shared_hits=number("shared"),
        misses=number("miss"),
        hit_rate=round(hits / asked, 4) if asked else None,
        loads=loads,
        load_ms=round(number("load_ms") / loads, 1) if loads else None,
        failed=number("failed"),
        bytes=round(number("bytes") / stored) if stored else None,
        too_large=number("too_large"),
    )
