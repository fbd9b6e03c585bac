"""Litestar's Redis store, with JSON by msgspec; it has no way to load once for many."""

from collections.abc import Awaitable, Callable
from typing import Any

import cache_program
import msgspec
from litestar.stores.redis import RedisStore


class Store:
    async def open(self, url: str) -> None:
        self._store = RedisStore.with_client(url)

    async def wrap(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        kept = await self._store.get(key)
        if kept is not None:
            return msgspec.json.decode(kept)
        value = await load()
        await self._store.set(key, msgspec.json.encode(value), expires_in=cache_program.TTL_S)
        return value

    async def close(self) -> None:
        await self._store._shutdown()


if __name__ == "__main__":
    cache_program.main(Store())
