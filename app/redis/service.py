"""The one Redis service that modules share."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from msgspec import Struct
from redis.asyncio import Redis

from app.core.settings import Settings
from app.redis.connection import hasty
from app.redis.health import FAILURES, Health
from app.redis.rest import Command, Rest

SCAN_COUNT = 500
PROBE_LIFE_MS = 10_000


class Ping(Struct, frozen=True, rename="camel"):
    """Whether Redis answered, and in how many milliseconds."""

    ok: bool
    latency_ms: float


class RedisService:
    """Plain values under keys made by `Settings.key`; every call is bounded in time.

    Calls raise `redis.exceptions.RedisError` when Redis is away; `ping` never raises. TekNav itself calls `ping`,
    `delete_by_pattern` and `get_via_rest`; the others are for modules to come, as promised (S4-20, S4-21, with
    pipelines over REST).

    Args:
        client: a hasty link to the same Redis that the process has already; this service does not close it then.
    """

    def __init__(self, settings: Settings, client: Redis | None = None) -> None:
        self.client: Redis = client or hasty(settings.cache_redis_url or settings.redis_url)
        self._owned = client is None
        self.recovered: list[Callable[[], Awaitable[None]]] = []
        """What is done when Redis is back, before it is used again."""
        self.health = Health(self._probe, self._recovered)
        self._probe_key = settings.key("cache", "health", "probe")
        self._rest = Rest(settings)

    async def get(self, key: str) -> str | None:
        return cast("str | None", await self.client.get(key))

    async def set(self, key: str, value: str, *, ttl_s: float | None = None) -> None:
        await self.client.set(key, value, px=int(ttl_s * 1000) if ttl_s else None)

    async def delete(self, *keys: str) -> int:
        """How many of the keys were there."""
        return int(await self.client.unlink(*keys)) if keys else 0

    async def delete_by_pattern(self, pattern: str, which: Callable[[str], bool] | None = None) -> int:
        """Delete every key that matches the glob, and is one of `which`, in batches by SCAN; returns how many."""
        deleted, cursor = 0, 0
        while True:
            cursor, keys = await self.client.scan(cursor, match=pattern, count=SCAN_COUNT)
            found = cast("list[str]", keys)
            deleted += await self.delete(*(key for key in found if which is None or which(key)))
            if cursor == 0:
                return deleted

    async def exists(self, key: str) -> bool:
        return bool(await self.client.exists(key))

    async def ping(self) -> Ping:
        """One round trip. The first failure is logged, then one in five minutes, and the return of Redis."""
        started = time.perf_counter()
        try:
            took_s = await self.health.check()
        except FAILURES:
            return Ping(False, _ms(time.perf_counter() - started))
        return Ping(True, _ms(took_s))

    async def get_via_rest(self, key: str) -> str | None:
        """Read over Upstash's REST API.

        Raises:
            Unavailable: no REST address is configured, or nothing answers there in time. RestRefused.
        """
        return cast("str | None", (await self._rest.run([("GET", key)]))[0])

    async def set_via_rest(self, key: str, value: Any, *, ttl_s: int | None = None) -> None:
        """Write over Upstash's REST API; what is no text is written as JSON, and `ttl_s` is in whole seconds.

        Raises:
            as `get_via_rest`.
        """
        await self._rest.set(key, value, ttl_s)

    async def pipeline_via_rest(self, commands: Sequence[Command]) -> list[Any]:
        """Many commands in one request over Upstash's REST API, without a transaction; the results in their order.

        Raises:
            as `get_via_rest`; RestRefused for the first command that failed, when the others have run.
        """
        return await self._rest.run(commands)

    async def close(self) -> None:
        self.health.close()
        if self._owned:
            await self.client.aclose()
        await self._rest.close()

    async def _probe(self) -> None:
        # A replica, a Redis without memory, and a node of a cluster, which refuses keys of several slots at once,
        # answer PING and are of no use.
        async with self.client.pipeline(transaction=False) as pipe:
            pipe.set(self._probe_key, "1", px=PROBE_LIFE_MS)
            pipe.mget(self._probe_key, f"{self._probe_key}:beside")
            answers = await pipe.execute(raise_on_error=False)
        if refused := [answer for answer in answers if isinstance(answer, Exception)]:
            raise refused[0]

    async def _recovered(self) -> None:
        for action in self.recovered:
            await action()


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
