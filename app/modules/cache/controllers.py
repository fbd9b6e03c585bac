"""`/api/owner/cache`."""

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from app.modules.cache.permissions import MANAGE, READ
from app.modules.cache.schemas import CacheClear, CacheStats, Dropped, KeySample
from app.modules.cache.service import CacheService


class CacheController(Controller):
    path = "/cache"

    @get("/stats", permission=READ)
    async def stats(self, caching: NamedDependency[CacheService]) -> CacheStats:
        """Read what is cached, how often it was found in the last 24 hours, and how its Redis fares."""
        return await caching.stats()

    @get("/keys", permission=READ)
    async def keys(self, caching: NamedDependency[CacheService]) -> KeySample:
        """Read the largest keys of a sample of up to 2,000. 503 where Redis is away."""
        return await caching.keys()

    @post("/clear", permission=MANAGE, audit="owner.cache.clear", status_code=200)
    async def clear(self, caching: NamedDependency[CacheService], data: JSONBody[CacheClear]) -> Dropped:
        """Drop a value by its `key`, all with a `tag`, all of an `area`, or `all`. 503 where Redis is away."""
        return await caching.clear(data)
