"""Two worker processes against one, with handlers that each use 2 ms of CPU."""

import asyncio
import time

from bench.contest import programs
from bench.environments import BURNING
from bench.servers import Ground

ASK_EVERY_S = 0.005
WARM_UP = 0.1


async def ratio(ground: Ground, jobs: int) -> float:
    """How many times the jobs per second of one process two of them finish."""
    await ground.empty()
    one = await _rate(ground, 1, jobs)
    await ground.empty()
    return await _rate(ground, 2, jobs) / one


async def _rate(ground: Ground, processes: int, jobs: int) -> float:
    async with programs(BURNING, ground.environment, processes) as (producer, *workers):
        await producer.ask("add_bulk", first=0, jobs=jobs)
        for worker in workers:
            await worker.ask("work")
        begun = 0
        while begun < jobs * WARM_UP:
            await asyncio.sleep(ASK_EVERY_S)
            begun = sum([await worker.ask("count") for worker in workers])
        started = time.monotonic()
        while await producer.ask("left"):
            await asyncio.sleep(ASK_EVERY_S)
        return (jobs - begun) / (time.monotonic() - started)
