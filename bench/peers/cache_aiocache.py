"""aiocache on Redis, with its own JSON and its guard against many loads of one value."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import cache_program
from aiocache import RedisCache, cached_stampede
from aiocache.serializers import JsonSerializer


class Aiocache:
    async def open(self, url: str) -> None:
        parts = urlsplit(url)
        self._cache = RedisCache(
            endpoint=parts.hostname,
            port=parts.port,
            password=parts.password,
            # Each of the callers that wait takes a connection; the default of 100 is an error for the others.
            pool_max_size=cache_program.WAITERS + cache_program.CALLERS,
            serializer=JsonSerializer(),
            namespace="",
        )
        guard = cached_stampede(lease=2, ttl=cache_program.TTL_S, key_builder=lambda _, key, load: key)
        guard.cache = self._cache
        self._guard = guard

    async def wrap(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        async def loaded(key: str, load: Callable[[], Awaitable[Any]]) -> Any:
            return await load()

        return await self._guard.decorator(loaded, key, load)

    async def close(self) -> None:
        await self._cache.close()


if __name__ == "__main__":
    cache_program.main(Aiocache())
