"""arq. It polls, by default twice a second; here a thousand times, for its sake. It has no call that adds many jobs."""

from collections.abc import Sequence
from typing import Any

import program
from arq import create_pool
from arq.connections import RedisSettings
from arq.constants import default_queue_name
from arq.worker import Worker, func

POLL_S = 0.001


class Arq:
    bulk = False

    async def open(self, url: str) -> None:
        self._redis = await create_pool(RedisSettings.from_dsn(url))

    async def add(self, number: int) -> float:
        handed_over = program.time.monotonic()
        await self._redis.enqueue_job("noop", number)
        return handed_over

    async def add_bulk(self, numbers: Sequence[int]) -> None:
        raise NotImplementedError

    async def left(self) -> int:
        return int(await self._redis.zcard(default_queue_name))

    async def work(self, seen: program.Seen) -> None:
        async def noop(context: Any, number: int) -> None:
            seen(number)

        await Worker(
            [func(noop, name="noop")],
            redis_pool=self._redis,
            max_jobs=program.CONCURRENCY,
            poll_delay=POLL_S,
            log_results=False,
            handle_signals=False,
        ).async_run()


if __name__ == "__main__":
    program.main(Arq())
