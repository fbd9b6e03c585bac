"""Litestar's Redis store, with JSON by msgspec; it has no way to load once for many."""

from collections.abc import Awaitable, Callable
from typing import Any

import cache_program
import msgspec
from litestar.stores.redis import RedisStore
from redis.asyncio import Redis


class Store:
    async def open(self, url: str) -> None:
        # Each of the callers that wait takes a connection; the default of 100 is an error for the others.
        self._redis = Redis.from_url(url, max_connections=cache_program.WAITERS + cache_program.CALLERS)
        self._store = RedisStore(self._redis)

    async def wrap(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        kept = await self._store.get(key)
        if kept is not None:
            return msgspec.json.decode(kept)
        value = await load()
        await self._store.set(key, msgspec.json.encode(value), expires_in=cache_program.TTL_S)
        return value

    async def close(self) -> None:
        await self._redis.aclose()


if __name__ == "__main__":
    cache_program.main(Store())
