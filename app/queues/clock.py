"""The time by which jobs are due: Redis's, which all processes share, because a host's own may be hours wrong."""

import asyncio
import time
from datetime import UTC, datetime

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger()
CORRECT_ABOVE_S = 0.5
TRIES = 3
AGAIN_S = 1.0
MEASURE_EVERY_S = 600.0


class Clock:
    """Seconds since 1970."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def now(self) -> float:
        return time.time() + self.offset_s

    def moment(self) -> datetime:
        """The same, in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def correct(self, ahead_s: float) -> None:
        """Go by a clock that is so many seconds ahead of this host's. A small difference is left as it is."""
        self.offset_s = ahead_s if abs(ahead_s) > CORRECT_ABOVE_S else 0.0
        if self.offset_s:
            log.warning("clock.corrected", seconds=round(self.offset_s, 3))

    async def measure(self, client: Redis) -> float:
        """Compare with Redis, and go by it; returns the seconds by which Redis is ahead.

        Waits until Redis is there.
        """
        while True:
            try:
                found = [await _compare(client) for _ in range(TRIES)]
                break
            except (RedisError, OSError) as error:
                log.warning("clock.not_measured", error=str(error) or type(error).__name__)
                await asyncio.sleep(AGAIN_S)
        ahead_s = min(found)[1]
        self.correct(ahead_s)
        return ahead_s

    async def keep(self, client: Redis) -> None:
        """Compare again and again, until cancelled: clocks drift, and hosts are set right."""
        while True:
            await self.measure(client)
            await asyncio.sleep(MEASURE_EVERY_S)


async def _compare(client: Redis) -> tuple[float, float]:
    """How long the question took, and how far Redis is ahead."""
    before = time.time()
    seconds, micros = await client.time()
    after = time.time()
    return after - before, seconds + micros / 1e6 - (before + after) / 2


clock = Clock()
