"""One cache as a process of its own, which does what is measured and prints one line of JSON.

Every peer runs in an environment of its own, so this file needs nothing but the standard library. Times are in
microseconds, rates per second.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

CALLERS, WAITERS = 50, 1_000
LOAD_S, TTL_S = 0.02, 60
WORDS = [
    "harbour",
    "press",
    "weekly",
    "letters",
    "from",
    "readers",
    "about",
    "boats",
    "bridges",
    "and",
    "the",
    "weather",
]
VALUE = {
    "items": [
        {
            "id": f"0192f0de-0000-7000-8000-{n:012d}",
            "title": " ".join(WORDS[(n * k) % len(WORDS)] for k in range(1, 9)),
            "state": ("draft", "published")[n % 2],
            "createdAt": f"2026-11-22T10:{n % 60:02d}:00Z",
            "words": n * 37,
        }
        for n in range(25)
    ],
    "nextCursor": None,
}


class Peer(Protocol):
    """A cache under test."""

    async def open(self, url: str) -> None: ...

    async def wrap(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        """The value under `key`, or what `load` gives, which is then kept for a minute."""

    async def close(self) -> None: ...


async def _many(peer: Peer, times: int, key: Callable[[int], str]) -> float:
    numbers = iter(range(times))

    async def load() -> Any:
        return VALUE

    async def caller() -> None:
        for n in numbers:
            found = await peer.wrap(key(n), load)
            assert len(found["items"]) == 25

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return times / (time.perf_counter() - began)


async def _alone(peer: Peer, times: int) -> float:
    async def load() -> Any:
        return VALUE

    took = []
    for _ in range(times):
        began = time.perf_counter()
        await peer.wrap("hit", load)
        took.append(time.perf_counter() - began)
    return sorted(took)[len(took) // 2] * 1e6


async def _crowd(peer: Peer) -> tuple[int, float]:
    """How many loads a thousand callers of one absent value cause, and in how many milliseconds all are served."""
    loads = 0

    async def load() -> Any:
        nonlocal loads
        loads += 1
        await asyncio.sleep(LOAD_S)
        return VALUE

    began = time.perf_counter()
    await asyncio.gather(*(peer.wrap(f"crowd{began}", load) for _ in range(WAITERS)))
    return loads, (time.perf_counter() - began) * 1000


async def _measure(peer: Peer, url: str, times: int) -> dict[str, float]:
    await peer.open(url)
    await _many(peer, times // 10, lambda _: "hit")
    hit = await _many(peer, times, lambda _: "hit")
    alone = await _alone(peer, times // 10)
    began = time.perf_counter()
    miss = await _many(peer, times // 4, lambda n: f"miss{began}-{n}")
    loads, crowd_ms = await _crowd(peer)
    await peer.close()
    return {"hit_per_s": hit, "hit_p50_us": alone, "miss_per_s": miss, "crowd_loads": loads, "crowd_ms": crowd_ms}


def main(peer: Peer) -> None:
    import uvloop

    url, times = sys.argv[1], int(sys.argv[2])
    print(json.dumps(uvloop.run(_measure(peer, url, times))))
