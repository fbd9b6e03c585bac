"""cashews on Redis, with its lock around loads."""

from collections.abc import Awaitable, Callable
from typing import Any

import cache_program
from cashews import Cache


class Cashews:
    async def open(self, url: str) -> None:
        self._cache = Cache()
        self._cache.setup(url, client_side=False)

        @self._cache(ttl=cache_program.TTL_S, key="{key}", lock=True)
        async def loaded(key: str, load: Callable[[], Awaitable[Any]]) -> Any:
            return await load()

        self._loaded = loaded

    async def wrap(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        return await self._loaded(key, load)

    async def close(self) -> None:
        await self._cache.close()


if __name__ == "__main__":
    cache_program.main(Cashews())
