"""taskiq on a Redis stream, which acknowledges what is done, without a result backend. It adds jobs one by one."""

from collections.abc import Sequence

import program
from redis.asyncio import Redis
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

NAME, GROUP = "bench", "bench"


class Taskiq:
    bulk = False

    async def open(self, url: str) -> None:
        self._redis = Redis.from_url(url)
        self._broker = RedisStreamBroker(url, NAME, consumer_group_name=GROUP, consumer_id="0")
        self._seen: program.Seen = lambda number: None

        @self._broker.task(task_name="noop")
        async def noop(number: int) -> None:
            self._seen(number)

        self._noop = noop
        await self._broker.startup()

    async def add(self, number: int) -> float:
        handed_over = program.time.monotonic()
        await self._noop.kiq(number)
        return handed_over

    async def add_bulk(self, numbers: Sequence[int]) -> None:
        raise NotImplementedError

    async def left(self) -> int:
        """Read but not acknowledged; the stream itself keeps what is done."""
        pending = await self._redis.xpending(NAME, GROUP)
        return int(pending["pending"])

    async def work(self, seen: program.Seen) -> None:
        self._seen = seen
        await run_receiver_task(self._broker, max_async_tasks=program.CONCURRENCY)


if __name__ == "__main__":
    program.main(Taskiq())
