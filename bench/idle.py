"""`python bench/idle.py`: what workers that have nothing to do cost Redis, PostgreSQL and their machine.

The first one leads, and so runs the loops; what each further one adds is what a fleet of many hosts is made of.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import psutil
from redis.asyncio import Redis

from bench.report import aligned
from bench.servers import Ground, ground

START_S, SETTLE_S = 60.0, 10.0
COUNTS = (1, 2, 4)
SHOWN = "SELECT count(*) FROM worker"
COMMITS = "SELECT sum(xact_commit)::float8 FROM pg_stat_database WHERE datname = current_database()"
LOGINS = "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'teknav\\_%'"
COLUMNS = (
    ("redis_commands_per_s", "Redis commands/s"),
    ("redis_connections", "connections"),
    ("postgres_transactions_per_s", "PostgreSQL transactions/s"),
    ("postgres_connections", "connections"),
    ("cpu_percent", "CPU % of a core, each"),
    ("memory_mb", "MB, each"),
)


@asynccontextmanager
async def worker(place: Ground) -> Any:
    """`teknav worker`, for all queues."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from app.cli import main; main()", "worker",
        env={**os.environ, **place.environment}, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield psutil.Process(process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def measure(counts: Sequence[int], seconds: float) -> list[dict[str, Any]]:
    """One row for each number of workers: totals of the servers, and the average of the workers."""
    rows = []
    async with ground() as place, AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(place.urls.redis_url))
        admin = await asyncpg.connect(place.urls.admin_database_url)
        stack.push_async_callback(admin.close)
        workers: list[psutil.Process] = []
        for count in counts:
            while len(workers) < count:
                workers.append(await stack.enter_async_context(worker(place)))
            await _shown(admin, count)
            await asyncio.sleep(SETTLE_S)
            before, began = await _figures(redis, admin, workers), time.monotonic()
            await asyncio.sleep(seconds)
            after, took = await _figures(redis, admin, workers), time.monotonic() - began
            rate = {name: (after[name] - before[name]) / took for name in ("commands", "commits", "cpu_s")}
            rows.append({
                "workers": count,
                "redis_commands_per_s": rate["commands"],
                "redis_connections": after["clients"],
                "postgres_transactions_per_s": rate["commits"],
                "postgres_connections": after["logins"],
                "cpu_percent": 100 * rate["cpu_s"] / count,
                "memory_mb": sum(map(_memory, workers)) / count / 1e6,
            })  # fmt: skip
    return rows


def _memory(worker: psutil.Process) -> int:
    """Proportional, in bytes, with the template that it has forked."""
    return sum(int(each.memory_full_info().pss) for each in (worker, *worker.children(recursive=True)))


async def _shown(admin: asyncpg.Connection, count: int) -> None:
    async with asyncio.timeout(START_S):
        while await admin.fetchval(SHOWN) < count:
            await asyncio.sleep(0.1)


async def _figures(redis: Redis, admin: asyncpg.Connection, workers: Sequence[psutil.Process]) -> dict[str, float]:
    told = await redis.info()
    times = [each.cpu_times() for each in workers]
    return {
        "commands": told["total_commands_processed"],
        "clients": told["connected_clients"] - 1,  # this one
        "commits": await admin.fetchval(COMMITS),
        "logins": await admin.fetchval(LOGINS),
        "cpu_s": sum(one.user + one.system for one in times),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [["workers", *(head for _, head in COLUMNS)]]
    lines += [[str(row["workers"]), *(f"{row[name]:,.1f}" for name, _ in COLUMNS)] for row in rows]
    return aligned(lines)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="how long each number of workers is watched")
    parser.add_argument("--json", action="store_true", help="one object for machines")
    options = parser.parse_args()
    rows = await measure(COUNTS, options.seconds)
    print(json.dumps({"rows": rows}) if options.json else table(rows))


if __name__ == "__main__":
    asyncio.run(main())
