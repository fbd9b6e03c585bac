"""Level 2: cached values in Redis, the marks of their tags, and the lease of whoever loads one."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis

from app.core.settings import Settings
from app.core.snapshot import EVERYTHING
from app.redis.codec import Stored, new_mark, unpack

LEASE_MS = 10_000
MARK_LIFE_MS = 7 * 86_400_000
# Only who still holds the lease may store: a drop of the key takes the lease along.
_STORE = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
"""
# The lease, and what else is named, of who still holds it.
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', unpack(KEYS)) end return 0"


class Reading(NamedTuple):
    """What one round trip told: the value, if its tags' marks are still those, its life left, and the marks now."""

    stored: Stored | None
    left_ms: int
    marks: list[str]
    unreadable: bool = False


def lease_of(key: str) -> str:
    return f"{key}:lease"


class Store:
    """Every call raises what `health.FAILURES` names when Redis does not serve."""

    def __init__(self, client: Redis, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self.channel = settings.key("cache", "drops", "all")
        self._store = client.register_script(_STORE)
        self._release = client.register_script(_RELEASE)

    async def read(self, key: str, tags: Sequence[str]) -> Reading:
        """One round trip, and a second one for tags that have no mark."""
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.pttl(key)
            pipe.mget(key, *(self._tag_key(tag) for tag in tags))
            left_ms, (text, *marks) = await pipe.execute()
        if None in marks:
            # Without marks no value is valid. They are made now, so that what is loaded next can be.
            return Reading(None, 0, await self._marked(tags))
        if text is None or left_ms <= 0:
            return Reading(None, 0, marks)
        try:
            stored = unpack(text)
        except ValueError:
            return Reading(None, 0, marks, unreadable=True)
        return Reading(stored if stored.marks == marks else None, left_ms, marks)

    async def lease(self, key: str, token: str, *, take_over: bool = False) -> bool:
        """Whether the caller is the one who loads; `take_over` does not ask who held it before."""
        held = await self._client.set(lease_of(key), token, nx=not take_over, px=LEASE_MS)
        return bool(held)

    async def put(self, key: str, packed: bytes, life_ms: int, token: str) -> bool:
        """Store under the lease; False where it was lost."""
        return bool(await self._store(keys=[key, lease_of(key)], args=[token, packed, life_ms]))

    async def put_plainly(self, key: str, packed: bytes, life_ms: int) -> None:
        await self._client.set(key, packed, px=life_ms)

    async def release(self, key: str, token: str) -> None:
        await self._release(keys=[lease_of(key)], args=[token])

    async def give_way(self, key: str, token: str) -> None:
        """Let go of the lease, and of the value there: a newer one was loaded that is not stored."""
        await self._release(keys=[lease_of(key), key], args=[token])

    async def mark(self, tags: Iterable[str]) -> None:
        """Make every value with one of these tags invalid, also those that are being loaded, in every process."""
        names = [*tags]
        async with self._client.pipeline(transaction=False) as pipe:
            for tag in names:
                pipe.set(self._tag_key(tag), new_mark(), px=MARK_LIFE_MS)
            pipe.publish(self.channel, msgspec.json.encode(names))
            await pipe.execute()

    async def forget(self, key: str) -> bool:
        """Delete a value, and keep whoever loads it just now from storing; whether it was there."""
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.unlink(key)
            pipe.unlink(lease_of(key))
            pipe.publish(self.channel, msgspec.json.encode([key]))
            return bool((await pipe.execute())[0])

    async def tell_all(self) -> None:
        """Let every process forget what it has in memory."""
        await self._client.publish(self.channel, msgspec.json.encode([EVERYTHING]))

    async def _marked(self, tags: Sequence[str]) -> list[str]:
        made = [new_mark() for _ in tags]
        async with self._client.pipeline(transaction=False) as pipe:
            for tag, mark in zip(tags, made, strict=True):
                pipe.set(self._tag_key(tag), mark, nx=True, get=True, px=MARK_LIFE_MS)
            before = await pipe.execute()
        return [old or new for old, new in zip(before, made, strict=True)]

    def _tag_key(self, tag: str) -> str:
        return self._settings.key("cache", "tag", tag)
