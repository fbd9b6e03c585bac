"""PostgreSQL and Redis that go away, forget, freeze, or lose what they said; and a disk that is full."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.faults.judge import traces_of
from tests.faults.proxy import LossyProxy
from tests.faults.run import LONGEST_OUTAGES, Run, Scenario, Skipped
from tests.faults.stage import Stage

DISK_MB, LEFT_KB = 320, 64
REFILL_S, LOOK_S = 60.0, 0.1
ODDS = 0.02


async def redis_killed(run: Run) -> None:
    await run.dress()
    async with run.under_load() as points:
        for point in points[:LONGEST_OUTAGES]:
            await run.load.reached(point)
            await run.stage.kill_server("valkey")
            await asyncio.sleep(run.size.outage_s)
            await run.stage.restart_servers()
            run.over()


async def redis_emptied(run: Run) -> None:
    await run.dress()
    # Twice or three times what the workers keep up with, so that Redis holds jobs when it is emptied; and not so much
    # that the time for the drain does not suffice.
    async with run.under_load(run.plan(seconds=2.0)) as points:
        for point in points:
            await run.load.reached(point)
            async with run.stage.redis() as redis:
                await redis.flushall()
            await _refilled(run)


async def _refilled(run: Run) -> None:
    """Wait until Redis holds again what it lost, or that has ended: how long that took is not how long the work takes.

    The names of the keys are BullMQ's: they end with the job's id.
    """
    emptied, lost = time.monotonic(), list(run.load.accepted.values())
    left = len(lost)
    while left and time.monotonic() - emptied < (run.scenario.drain_s or REFILL_S):
        await asyncio.sleep(LOOK_S)
        async with run.stage.redis() as redis:
            held = {key.decode().rpartition(":")[2] async for key in redis.scan_iter(count=1000)}
        traces = await traces_of(run.stage, run.prefix)
        left = sum(one.id not in held and not traces.ended(one) for one in lost)
    if left:
        run.complain(f"not refilled: {left} of {len(lost)}")
    run.back(time.monotonic() - emptied)


async def redis_frozen(run: Run) -> None:
    await run.dress()
    async with run.under_load() as points:
        for point in points[:LONGEST_OUTAGES]:
            await run.load.reached(point)
            run.stage.signal_server("valkey", signal.SIGSTOP)
            try:
                await asyncio.sleep(run.size.outage_s)
            finally:
                run.stage.signal_server("valkey", signal.SIGCONT)
            run.over()


async def replies_lost(run: Run) -> None:
    """Between the workers and Redis, links are cut after commands have reached the server."""
    parts = urlsplit(run.stage.urls.redis_url)
    async with LossyProxy(parts.port or 6379, random.Random(run.seed)) as proxy:
        there = parts._replace(netloc=f":{parts.password}@127.0.0.1:{proxy.port}")
        await run.dress(REDIS_URL=urlunsplit(there))
        async with run.under_load():
            proxy.odds = ODDS
        proxy.odds = 0.0
        run.over()
        if proxy.cuts < 3:
            run.complain(f"only {proxy.cuts} replies were lost")
        await run.drained()


async def postgres_restarted(run: Run) -> None:
    await run.dress()
    async with run.under_load() as points:
        for point in points:
            await run.load.reached(point)
            run.stage.signal_server("postgres", signal.SIGINT)  # "fast": open sessions are cut
            await asyncio.sleep(run.size.outage_s / 2)
            await run.stage.restart_servers()
            run.over()


async def postgres_killed(run: Run) -> None:
    await run.dress()
    async with run.under_load() as points:
        for point in points:
            await run.load.reached(point)
            await run.stage.kill_server("postgres")
            await run.stage.restart_servers()
            run.over()


async def backends_killed(run: Run) -> None:
    await run.dress()
    async with run.under_load() as points:
        for point in points:
            for _ in range(5):
                await run.load.reached(point)
                await run.stage.cut_backends()
                point += 3
            run.over()


async def disk_full(run: Run) -> None:
    """A stage of its own on a small file system, which is filled up and freed again."""
    with _small_disk() as folder:
        async with Stage(folder) as run.stage:
            run.load.stage = run.stage
            await run.dress()
            async with run.under_load() as points:
                await run.load.reached(points[0])
                _fill(folder)
                await asyncio.sleep(run.size.outage_s)
                (folder / "ballast").unlink()
                await run.stage.restart_servers()
                run.over()
            await run.drained()
            await run.close()


@contextmanager
def _small_disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="teknav-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", str(folder)]
    try:
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
            raise Skipped("a small file system cannot be mounted here")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(folder: Path) -> None:
    with (folder / "ballast").open("wb") as ballast:
        while (free := shutil.disk_usage(folder).free - LEFT_KB * 1024) > 0:
            # Others write at the same time: what was free a moment ago may not be.
            with suppress(OSError):
                os.posix_fallocate(ballast.fileno(), ballast.seek(0, os.SEEK_END), free)


SCENARIOS = (
    Scenario("redis-killed", "kill -9 of Redis, later a restart", redis_killed, goal_s=60),
    Scenario("redis-emptied", "FLUSHALL", redis_emptied, goal_s=60),
    Scenario("redis-frozen", "SIGSTOP to Redis", redis_frozen, goal_s=60),
    Scenario("replies-lost", "links to Redis cut behind commands", replies_lost, goal_s=15),
    Scenario("pg-restarted", "PostgreSQL restarted", postgres_restarted, goal_s=10, allowed=("503",)),
    Scenario("pg-killed", "kill -9 of PostgreSQL", postgres_killed, goal_s=10, allowed=("503",)),
    Scenario("backends-killed", "pg_terminate_backend on all", backends_killed, goal_s=10, allowed=("503",)),
    Scenario("disk-full", "no space left for PostgreSQL and Redis", disk_full, goal_s=60, allowed=("503",)),
)
