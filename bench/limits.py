"""`python bench/limits.py`: what the rate limiter costs a call, by itself and in a request of the web process."""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import httpx2

from app.core.limits import PLANS, Window
from app.core.settings import load
from app.redis.connection import hasty
from app.redis.rate_limit import Alone, RateLimiter
from bench.contest import percentile
from bench.report import aligned
from bench.servers import Ground, ground
from bench.web import served

PLENTY = tuple(Window(window.most * 100_000, window.per_s) for window in PLANS["standard"])
AT_ONCE = 50


async def limiter(place: Ground, calls: int) -> list[dict[str, Any]]:
    """Calls per second and waits for one answer, with the two windows of a token."""
    await place.empty()
    link = hasty(place.urls.redis_url)
    try:
        ours = RateLimiter(link, load({}).queue_prefix)
        waits = []
        for number in range(calls):
            began = time.perf_counter()
            await ours.take(f"token:{number % 10}", PLENTY)
            waits.append((time.perf_counter() - began) * 1000)

        async def caller(who: int) -> None:
            for _ in range(calls // AT_ONCE):
                await ours.take(f"token:{who}", PLENTY)

        began = time.perf_counter()
        await asyncio.gather(*(caller(who) for who in range(AT_ONCE)))
        together = calls // AT_ONCE * AT_ONCE / (time.perf_counter() - began)
    finally:
        await link.aclose()
    alone, began = Alone(), time.perf_counter()
    for number in range(calls):
        alone.take(f"token:{number % 10}", PLENTY, 1)
    without = calls / (time.perf_counter() - began)
    one = {"per_s": 1000 * len(waits) / sum(waits), "p50_ms": percentile(waits, 50), "p95_ms": percentile(waits, 95)}
    return [
        {"name": "one after the other"} | one,
        {"name": f"{AT_ONCE} at once, one process", "per_s": together},
        {"name": "without Redis", "per_s": without},
    ]


async def requests(place: Ground, calls: int) -> list[dict[str, Any]]:
    """A refused call of the owner's API, counted and not: the cheapest request that the limiter stands before."""
    rows = []
    for name, enabled in (("not counted", "false"), ("counted", "true")):
        place.environment |= {"ENABLE_RATE_LIMIT": enabled, "RATE_LIMIT_MAX": "1000000000"}
        async with served(place, {}) as client:
            waits = [await _timed(client) for _ in range(calls + 50)][50:]
        rows.append(
            {
                "name": f"request, {name}",
                "per_s": 1000 * len(waits) / sum(waits),
                "p50_ms": percentile(waits, 50),
                "p95_ms": percentile(waits, 95),
            }
        )
    return rows


async def _timed(client: httpx2.AsyncClient) -> float:
    began = time.perf_counter()
    await client.get("/api/owner/tenants")
    return (time.perf_counter() - began) * 1000


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [["", "calls/s", "p50 ms", "p95 ms"]]
    for row in rows:
        times = [f"{row[column]:.2f}" if column in row else "" for column in ("p50_ms", "p95_ms")]
        lines.append([row["name"], f"{row['per_s']:,.0f}", *times])
    return aligned(lines)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the calls")
    parser.add_argument("--json", action="store_true", help="one object for machines")
    options = parser.parse_args()
    calls = 2_000 if options.quick else 20_000
    async with ground() as place:
        rows = await limiter(place, calls) + await requests(place, calls // 10)
    print(json.dumps({"rows": rows}) if options.json else table(rows))


if __name__ == "__main__":
    asyncio.run(main())
