"""What the tests of analytics share: months far from today, and the jobs that count."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from datetime import date

import asyncpg

from app.core.database import Database, Plane, Scope
from app.modules.analytics.jobs import AggregateDaily, AggregateHourly
from app.queues.enqueue import enqueue
from app.queues.job import Job

PLATFORM = Scope(Plane.PLATFORM)


@asynccontextmanager
async def months(admin: asyncpg.Connection, of: Collection[date]) -> AsyncGenerator[None, None]:
    """Partitions of events for these days' months, where there are none."""
    made = []
    for first in sorted({day.replace(day=1) for day in of}):
        name = f"analytics_event_{first:%Y_%m}"
        if await admin.fetchval("SELECT to_regclass($1)", name) is None:
            after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
            span = f"FROM ('{first}') TO ('{after}')"
            await admin.execute(f"CREATE TABLE {name} PARTITION OF analytics_event FOR VALUES {span}")
            made.append(name)
    try:
        yield
    finally:
        for name in made:
            await admin.execute(f"DROP TABLE {name}")


async def count(database: Database, drain: Callable[[], Awaitable[int]], *jobs: Job) -> None:
    """Run the jobs that count, one after the other."""
    for job in jobs or (AggregateHourly(), AggregateDaily()):
        async with database.transaction(PLATFORM) as session:
            await enqueue(session, job)
        await drain()
