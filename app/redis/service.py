"""The one Redis service that modules share."""

import time
from typing import Any, cast

import structlog
from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError
from upstash_redis.asyncio import Redis as UpstashRest

from app.core.errors import Unavailable
from app.core.settings import Settings
from app.redis.connection import hasty

log = structlog.get_logger()
DOWN_LOGGED_EVERY_S = 300
SCAN_COUNT = 500


class Ping(Struct, frozen=True, rename="camel"):
    """Whether Redis answered, and in how many milliseconds."""

    ok: bool
    latency_ms: float


class RedisService:
    """Plain values under keys made by `Settings.key`; every call is bounded in time.

    Calls raise `redis.exceptions.RedisError` when Redis is away; `ping` never raises.
    """

    def __init__(self, settings: Settings) -> None:
        self.client: Redis = hasty(settings.cache_redis_url or settings.redis_url)
        self._rest: UpstashRest | None = None
        if settings.upstash_redis_rest_url:
            self._rest = UpstashRest(
                url=settings.upstash_redis_rest_url,
                token=settings.upstash_redis_rest_token,
                allow_telemetry=False,
            )
        self._down_logged = float("-inf")
        self._was_down = False

    async def get(self, key: str) -> str | None:
        return cast("str | None", await self.client.get(key))

    async def set(self, key: str, value: str, *, ttl_s: float | None = None) -> None:
        await self.client.set(key, value, px=int(ttl_s * 1000) if ttl_s else None)

    async def delete(self, *keys: str) -> int:
        """How many of the keys were there."""
        return int(await self.client.unlink(*keys)) if keys else 0

    async def delete_by_pattern(self, pattern: str) -> int:
        """Delete every key that matches the glob, in batches by SCAN; returns how many."""
        deleted, cursor = 0, 0
        while True:
            cursor, keys = await self.client.scan(cursor, match=pattern, count=SCAN_COUNT)
            deleted += await self.delete(*cast("list[str]", keys))
            if cursor == 0:
                return deleted

    async def exists(self, key: str) -> bool:
        return bool(await self.client.exists(key))

    async def ping(self) -> Ping:
        """One round trip. The first failure is logged, then one in five minutes, and the return of Redis."""
        started = time.perf_counter()
        try:
            await self.client.ping()
        except (RedisError, OSError) as error:
            self._note_down(error)
            return Ping(False, _since(started))
        if self._was_down:
            self._was_down, self._down_logged = False, float("-inf")
            log.info("redis.up")
        return Ping(True, _since(started))

    def _note_down(self, error: Exception) -> None:
        self._was_down = True
        now = time.monotonic()
        if now - self._down_logged >= DOWN_LOGGED_EVERY_S:
            self._down_logged = now
            log.warning("redis.down", error=str(error) or type(error).__name__)

    async def get_via_rest(self, key: str) -> str | None:
        """Read over Upstash's REST API.

        Raises:
            Unavailable: no REST address is configured.
        """
        value: str | None = await self._upstash().get(key)
        return value

    async def set_via_rest(self, key: str, value: Any, *, ttl_s: int | None = None) -> None:
        """Write over Upstash's REST API; `ttl_s` in whole seconds."""
        await self._upstash().set(key, value, ex=ttl_s)

    def _upstash(self) -> UpstashRest:
        if self._rest is None:
            raise Unavailable("UPSTASH_REDIS_REST_URL is not set")
        return self._rest

    async def close(self) -> None:
        await self.client.aclose()
        if self._rest is not None:
            await self._rest.close()


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
