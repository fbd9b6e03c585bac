"""One contender's turn: what is measured of it, in which order, between emptied servers."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bench.environments import Contender

LINE = 64 * 1024 * 1024  # an answer holds every call's time
ANSWER_S = 180.0
ASK_LEFT_EVERY_S = 0.003


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. Counts of jobs are for a contender of size 1."""

    added: int
    bulk: int
    idle: int
    """Jobs that each find an idle worker, 10 ms after one another."""
    busy_s: float
    """How long 500 jobs a second arrive."""


FULL = Sizes(added=1_000, bulk=5_000, idle=200, busy_s=2.0)
QUICK = Sizes(added=200, bulk=800, idle=50, busy_s=0.4)
IDLE_EVERY_S, BUSY_EVERY_S = 0.01, 0.002
WARM_UP = 0.1
"""The part of the jobs that is worked off before the clock starts."""


class Failed(Exception):
    """A contender could not do what it was asked; the message says why."""


class Program:
    """A contender's process, asked and answering in lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, contender: Contender, role: str, environment: Mapping[str, str]) -> "Program":
        process = await asyncio.create_subprocess_exec(
            *contender.argv(role),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL if not os.environ.get("BENCH_DEBUG") else None,
            env={**os.environ, **environment},
            limit=LINE,
        )
        return cls(process)

    async def ready(self) -> None:
        await self._answer("start")

    async def ask(self, action: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps({"action": action, **arguments}) + "\n").encode())
        return await self._answer(action)

    async def _answer(self, action: str) -> Any:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(ANSWER_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise Failed(f"no answer to {action!r} within {ANSWER_S:g} s") from None
        answer = json.loads(line or b'{"error": "its process ended"}')
        if "error" in answer:
            raise Failed(f"{action}: {answer['error']}")
        return answer["ok"]

    async def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def programs(
    contender: Contender, environment: Mapping[str, str], workers: int = 1
) -> AsyncIterator[list[Program]]:
    """A contender's producer, and behind it its workers, all started and waiting."""
    own = dict(environment)
    own["REDIS_URL"] = f"{environment['REDIS_URL'].rpartition('/')[0]}/{contender.place}"
    sides: list[Program] = []
    try:
        for role in ("producer", *["worker"] * workers):
            sides.append(await Program.start(contender, role, own))
        for side in sides:
            await side.ready()
        yield sides
    finally:
        await asyncio.gather(*(side.end() for side in sides))


async def turn(contender: Contender, environment: Mapping[str, str], sizes: Sizes) -> dict[str, Any]:
    """Everything that one round measures of one contender.

    Raises:
        Failed: it did not answer, or not with what was asked.
    """
    async with programs(contender, environment) as (producer, worker):
        found: dict[str, Any] = {}
        added, bulk = sizes.added * contender.size, sizes.bulk * contender.size
        found["add_per_s"] = added / await producer.ask("add", first=0, jobs=added)
        seconds = await producer.ask("add_bulk", first=added, jobs=bulk)
        found["add_bulk_per_s"] = bulk / seconds if seconds else None
        if not seconds:
            await producer.ask("add", first=added, jobs=bulk)
        jobs = added + bulk
        found["process_per_s"] = await drained(producer, worker, jobs)
        for name, every_s, count in (
            ("pickup", IDLE_EVERY_S, sizes.idle),
            ("busy", BUSY_EVERY_S, round(sizes.busy_s / BUSY_EVERY_S)),
        ):
            waits = await pick_ups(producer, worker, jobs, count, every_s)
            found |= {f"{name}_p50_ms": percentile(waits, 50), f"{name}_p99_ms": percentile(waits, 99)}
            jobs += count
        return found


async def drained(producer: Program, worker: Program, jobs: int) -> float:
    """Jobs finished per second: from the call that ends the warm-up until nothing is left."""
    await worker.ask("work")
    warm = round(jobs * WARM_UP)
    started = await worker.ask("time_of", calls=warm)
    await worker.ask("time_of", calls=jobs)
    while await producer.ask("left"):
        await asyncio.sleep(ASK_LEFT_EVERY_S)
    return (jobs - warm) / (time.monotonic() - started)


async def pick_ups(producer: Program, worker: Program, first: int, jobs: int, every_s: float) -> list[float]:
    """Milliseconds from each job's being handed over to its handler's call."""
    sent = await producer.ask("pace", first=first, jobs=jobs, every_s=every_s)
    calls = await worker.ask("calls", since=first, calls=first + jobs)
    called = dict(calls)
    if len(called) != jobs:
        raise Failed(f"{jobs} jobs, {len(called)} of them run")
    return [(called[first + position] - moment) * 1000 for position, moment in enumerate(sent)]


def percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
