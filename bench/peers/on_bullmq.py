"""BullMQ's own Python worker, as it comes."""

from collections.abc import Sequence
from typing import Any

import program
from bullmq import Queue, Worker
from redis.asyncio import Redis

NAME = "bench"
KEPT = {"attempts": 3, "removeOnComplete": {"count": 1000, "age": 86_400}}  # what TekNav's queues keep


class BullMq:
    bulk = True

    async def open(self, url: str) -> None:
        self._url = url
        self._queue = Queue(NAME, {"connection": url})
        self._redis = Redis.from_url(url)

    async def add(self, number: int) -> float:
        handed_over = program.time.monotonic()
        await self._queue.add("noop", {"n": number}, dict(KEPT))
        return handed_over

    async def add_bulk(self, numbers: Sequence[int]) -> None:
        await self._queue.addBulk([{"name": "noop", "data": {"n": n}, "opts": dict(KEPT)} for n in numbers])

    async def left(self) -> int:
        return int(await self._redis.llen(f"bull:{NAME}:wait") + await self._redis.llen(f"bull:{NAME}:active"))

    async def work(self, seen: program.Seen) -> None:
        async def handle(job: Any, token: str) -> None:
            seen(job.data["n"])

        worker = Worker(NAME, handle, {"connection": self._url, "concurrency": program.CONCURRENCY, "autorun": False})
        await worker.run()


if __name__ == "__main__":
    program.main(BullMq())
