"""One of several processes that ask for more than there is; prints how many calls it was allowed."""

import asyncio
import sys

from app.core.limits import Window
from app.core.settings import load
from app.redis.connection import hasty
from app.redis.rate_limit import RateLimiter


async def main(redis_url: str, who: str, calls: int) -> None:
    link = hasty(redis_url)
    limiter = RateLimiter(link, load({}).queue_prefix)
    await link.ping()
    print("ready", flush=True)
    sys.stdin.readline()
    windows = (Window(60, 60.0), Window(1_000, 3600.0))
    verdicts = [await limiter.take(who, windows) for _ in range(calls)]
    print(sum(verdict.allowed for verdict in verdicts), flush=True)
    await link.aclose()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
