"""The typed cache: memory in front of Redis, one load per value, and drops by tag.

When Redis does not serve, values come from memory for its short life and else from their source.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from itertools import count
from typing import Any, TypeVar

import msgspec
import structlog
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import after_commit
from app.core.settings import Settings
from app.core.snapshot import EVERYTHING
from app.redis.broker import RedisBroker
from app.redis.cached import Cached, Place
from app.redis.claims import IN_VAIN, Claims
from app.redis.codec import pack
from app.redis.flight import REDIS_S, Flight
from app.redis.health import FAILURES
from app.redis.history import History
from app.redis.memory import Kept
from app.redis.service import RedisService
from app.redis.store import Store

log = structlog.get_logger()
T = TypeVar("T")
FLUSH_S = 5.0
_NOTHING = object()


class Cache:
    """One for each process. `run` hears of other processes' drops; without it memory may be old by its short life.

    Args:
        subscriber: a patient link to the same Redis.
    """

    def __init__(self, redis: RedisService, settings: Settings, subscriber: Redis) -> None:
        self.redis = redis
        self.apart = settings.cache_apart
        self._settings = settings
        self._store = Store(redis.client, settings)
        self.claims = Claims(self._store, redis.health, settings)
        self.history = History(redis, settings)
        self._subscriber = subscriber
        self._broker = RedisBroker(redis.client, subscriber, self._store.channel)
        self.on_drop: list[Callable[[Collection[str]], None]] = []
        """Called with the tags of each drop, this process's own and those it hears of."""
        self._owed: dict[str, int] = {}
        self._debts = count()
        redis.recovered.append(self._pay_owed)

    async def cache_get_json(self, place: Place[T]) -> T | None:
        """The value, or None where it is not there, is of another shape, or Redis does not serve.

        For modules to come, as promised (S4-24); so is `cache_set_json`.
        """
        key = place.key(self._settings)
        kept = self.claims.memory.get(key)
        if kept is None:
            flight = Flight(key, frozenset(place.tags))
            reading = await self.claims.read(place, flight)
            kept = self.claims.kept(reading, flight) if reading else None
            if kept is not None:
                self.claims.memory.put(key, kept, place.tags)
        value = self._decoded(place, key, kept)
        return None if value is _NOTHING else value

    async def cache_set_json(self, place: Place[T], value: T) -> bool:
        """Keep what was computed just now; whether Redis has it.

        A drop between the computing and this call goes unseen: `cache_wrap` knows of it.
        """
        key = place.key(self._settings)
        flight = Flight(key, frozenset(place.tags))
        reading = await self.claims.read(place, flight)
        body = msgspec.json.encode(value)
        kept, life_ms = self.claims.made(body, flight, place)
        self.claims.memory.put(key, kept, place.tags)
        if reading is None:
            return False
        packed = pack(body, life_ms, reading.marks)
        if self.claims.too_large(packed, place):
            await self.claims.spend(flight, self._store.forget(key))  # an older value is none any more
            return False
        return await self.claims.spend(flight, self._store.put_plainly(key, packed, life_ms)) is not IN_VAIN

    async def cache_wrap(self, place: Place[T], load: Callable[[], Awaitable[T]]) -> T:
        """The value from the cache, or else from `load`, which runs once however many ask for it.

        A caller that is cancelled disturbs neither the load nor the others. What `load` raises reaches all who wait.
        """
        kept, flight = await self.claims.claim(place)
        value = self._decoded(place, place.key(self._settings), kept)
        if flight is not None:
            task = self.claims.soon(self._fly(place, flight, load))
            return await asyncio.shield(task) if value is _NOTHING else value
        return await load() if value is _NOTHING else value

    async def drop(self, *tags: str) -> None:
        """Make every value with one of these tags invalid, everywhere; at the latest when Redis is back."""
        self._drop_here(tags)
        self._owed |= {tag: next(self._debts) for tag in tags}
        if self.redis.health.ok:
            try:
                async with asyncio.timeout(REDIS_S):
                    await self._pay_owed()
            except FAILURES as error:
                self.redis.health.failed(error)

    def holds(self, kind: Cached[Any], key: str) -> bool:
        """Whether this key is one of that kind's."""
        start = self._settings.key(kind.area, kind.entity, kind.what, kind.version)
        return key == start or key.startswith(f"{start}:")

    async def forget(self, key: str) -> bool:
        """Delete one value by its key; whether Redis had it.

        Raises:
            RedisError: Redis does not serve.
        """
        self.claims.drop([key])
        return await self._store.forget(key)

    async def drop_kinds(self, kinds: Collection[Cached[Any]]) -> int:
        """Delete every value of these kinds, whatever its tags, in one walk through Redis; how many keys there were.

        Raises:
            RedisError: Redis does not serve.
        """
        self.claims.drop([EVERYTHING])
        areas = {kind.area for kind in kinds}
        pattern, _, _ = self._settings.key(areas.pop() if len(areas) == 1 else "*", "*", "*").rpartition(":")
        deleted = await self.redis.delete_by_pattern(pattern, lambda key: any(self.holds(one, key) for one in kinds))
        await self._store.tell_all()
        return deleted

    async def run(self) -> None:
        """Hear drops, watch Redis, and flush the figures, until cancelled."""
        hearing = self._broker.listen(self._heard, joined=self.claims.memory.clear)
        await asyncio.gather(hearing, self.redis.health.watch(), self._flush_always())

    async def close(self) -> None:
        await self.claims.close()
        if self.apart:  # else it is the process's, and closed with it
            await self._subscriber.aclose(close_connection_pool=True)

    def _decoded(self, place: Place[T], key: str, kept: Kept | None) -> Any:
        if kept is None:
            return _NOTHING
        try:
            return msgspec.json.decode(kept.body, type=place.kind.type)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("cache.unreadable", key=key, error=str(error))
            self.claims.figures.count(place.kind.name, "unreadable")
            self.claims.soon(self.forget(key))
            return _NOTHING

    async def _fly(self, place: Place[T], flight: Flight, load: Callable[[], Awaitable[T]]) -> T:
        try:
            value = await load()
            body = msgspec.json.encode(value)
        except Exception as error:
            self.claims.fail(place, flight, error)
            raise
        except BaseException:
            self.claims.give_up(flight)
            raise
        await self.claims.land(place, flight, body)
        return value

    async def _pay_owed(self) -> None:
        while owed := {**self._owed}:
            await self._store.mark(owed)
            for tag, debt in owed.items():
                if self._owed.get(tag) == debt:  # else it was dropped again meanwhile
                    del self._owed[tag]

    def _heard(self, message: bytes) -> None:
        self._drop_here(msgspec.json.decode(message, type=list[str]))

    def _drop_here(self, tags: Collection[str]) -> None:
        self.claims.drop(tags)
        for told in self.on_drop:
            told(tags)

    async def _flush_always(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.history.flush(self.claims.figures)


def drop(session: AsyncSession, *tags: str) -> None:
    """Drop these tags once this transaction has committed; all of a transaction leave together, each once."""
    cache: Cache | None = session.info.get("cache")
    if cache is None:
        return
    waiting: set[str] | None = session.info.get("drops")
    if waiting is None:
        waiting = session.info["drops"] = set()
        dropped = waiting
        after_commit(session, lambda: cache.drop(*dropped))
    waiting.update(tags)
