"""SAQ on Redis, with its defaults. It has no call that adds many jobs."""

from collections.abc import Sequence
from typing import Any

import program
from saq import Queue, Worker


class Saq:
    bulk = False

    async def open(self, url: str) -> None:
        self._queue = Queue.from_url(url)
        await self._queue.connect()

    async def add(self, number: int) -> float:
        handed_over = program.time.monotonic()
        await self._queue.enqueue("noop", n=number)
        return handed_over

    async def add_bulk(self, numbers: Sequence[int]) -> None:
        raise NotImplementedError

    async def left(self) -> int:
        return await self._queue.count("incomplete")

    async def work(self, seen: program.Seen) -> None:
        async def noop(context: Any, *, n: int) -> None:
            seen(n)

        await Worker(self._queue, [("noop", noop)], concurrency=program.CONCURRENCY).start()


if __name__ == "__main__":
    program.main(Saq())
