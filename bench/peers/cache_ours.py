"""TekNav's cache: `both` levels, or `redis` alone, with nothing in memory."""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import cache_program
from redis.asyncio import Redis

from app.core.settings import load
from app.redis.cache import Cache
from app.redis.cached import Cached
from app.redis.connection import hasty, patient
from app.redis.memory import Memory
from app.redis.service import RedisService

KIND = Cached("bench", "lists", "one", dict[str, Any], cache_program.TTL_S, ("bench",), "A list.")


class Ours:
    _links: tuple[Redis, ...]

    async def open(self, url: str) -> None:
        settings = load({"REDIS_URL": url, "APP_ENV": "test"})
        self._links = (hasty(url), patient(url))
        self._cache = Cache(RedisService(settings, self._links[0]), settings, self._links[1])
        if sys.argv[3] == "redis":
            self._cache.claims.memory = Memory(entries=0)

    async def wrap(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        return await self._cache.cache_wrap(KIND.place(key), load)

    async def close(self) -> None:
        await self._cache.close()
        await self._cache.redis.close()
        for link in self._links:
            await link.aclose()


if __name__ == "__main__":
    cache_program.main(Ours())
