"""What the caches of all processes did, hour by hour, and when Redis was away: kept in Redis for the dashboard."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
from redis.asyncio import Redis

from app.core.settings import Settings
from app.redis.figures import SLOW_KEPT, Figures, Slow
from app.redis.health import FAILURES, OUTAGES_KEPT, Outage
from app.redis.service import RedisService

HOURS = 24
LIFE_S = 2 * 86_400


class History:
    """Sums by hour, the slowest loads of each day, and the last outages that a process saw the end of."""

    def __init__(self, redis: RedisService, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings
        self._outages_key = settings.key("cache", "history", "outages")
        redis.health.ended = self._keep_outage

    async def flush(self, figures: Figures) -> None:
        """Add what this process counted since the last time; what could not be added is added next time."""
        if not self._redis.health.ok:
            return
        counted, slow = figures.take()
        if not counted:
            return
        now = datetime.now(UTC)
        key, slow_key = self._hour_key(now), self._day_key(now)
        try:
            async with self._redis.client.pipeline(transaction=True) as pipe:
                for (kind, what), number in counted.items():
                    pipe.hincrby(key, f"{kind}|{what}", number)
                pipe.expire(key, LIFE_S)
                if slow:
                    pipe.zadd(slow_key, {one.key: round(one.ms) for one in slow}, gt=True)
                    pipe.zremrangebyrank(slow_key, 0, -SLOW_KEPT - 1)
                    pipe.expire(slow_key, LIFE_S)
                await pipe.execute()
        except FAILURES as error:
            figures.put_back(counted)
            self._redis.health.failed(error)

    async def read(self) -> Counter[tuple[str, str]]:
        """Counts of the last 24 hours, all processes together.

        Raises:
            RedisError: Redis does not serve.
        """
        now = datetime.now(UTC)
        async with self._redis.client.pipeline(transaction=False) as pipe:
            for hours in range(HOURS):
                pipe.hgetall(self._hour_key(now - timedelta(hours=hours)))
            found = await pipe.execute()
        total: Counter[tuple[str, str]] = Counter()
        for hour in found:
            for field, number in hour.items():
                kind, _, what = field.rpartition("|")
                total[kind, what] += int(number)
        return total

    async def slow(self, most: int) -> list[Slow]:
        """The slowest loads of today and yesterday (UTC), slowest first; each key with its worst.

        Raises:
            RedisError: Redis does not serve.
        """
        today = datetime.now(UTC)
        async with self._redis.client.pipeline(transaction=False) as pipe:
            for day in (today, today - timedelta(days=1)):
                pipe.zrange(self._day_key(day), 0, most - 1, desc=True, withscores=True)
            days: list[list[tuple[str, float]]] = await pipe.execute()
        worst: dict[str, float] = {}
        for key, ms in (one for day_of in days for one in day_of):
            worst[key] = max(float(ms), worst.get(key, 0.0))
        return [Slow(key, ms) for key, ms in sorted(worst.items(), key=lambda one: -one[1])[:most]]

    async def outages(self) -> list[Outage]:
        """The last ones that any process saw, newest first; the present one among them."""
        present = self._redis.health.outages
        try:
            lines = await self._redis.client.lrange(self._outages_key, 0, OUTAGES_KEPT - 1)
        except FAILURES:
            return present
        kept = [msgspec.json.decode(line, type=Outage) for line in lines]
        return [*(one for one in present if one.ended_at is None), *kept]

    async def _keep_outage(self, outage: Outage) -> None:
        client: Redis = self._redis.client
        async with client.pipeline(transaction=True) as pipe:
            pipe.lpush(self._outages_key, msgspec.json.encode(outage))
            pipe.ltrim(self._outages_key, 0, OUTAGES_KEPT - 1)
            await pipe.execute()

    def _day_key(self, moment: datetime) -> str:
        return self._settings.key("cache", "history", f"slow-{moment:%Y%m%d}")

    def _hour_key(self, moment: datetime) -> str:
        return self._settings.key("cache", "history", f"{moment:%Y%m%d%H}")
