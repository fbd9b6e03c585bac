"""Counts what is marked, one tenant's buckets a transaction, until nothing is or its time is over."""

import time
from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from app.modules.analytics.jobs import AggregateDaily, AggregateHourly
from app.modules.analytics.service import recount_days, recount_hours
from app.modules.events.service import forget_salts
from app.queues.job import processor
from app.queues.work import Work

LONGEST_S = 240.0  # the rest is left to the next run, well before the queue's time limit


@processor(AggregateHourly)
async def aggregate_hourly(work: Work, _: AggregateHourly) -> None:
    async with work.transaction("salts") as session:
        if session is not None:
            await forget_salts(session)
    await _count(work, recount_hours, "hours")


@processor(AggregateDaily)
async def aggregate_daily(work: Work, _: AggregateDaily) -> None:
    await _count(work, recount_days, "days")


async def _count(work: Work, recount: Callable[[AsyncSession], Awaitable[int]], what: str) -> None:
    # A step that another delivery has done already is passed over: what it has counted has no marks any more.
    end, done, step = time.monotonic() + LONGEST_S, 0, 0
    while True:
        step += 1
        async with work.transaction(f"{what}:{step}") as session:
            if session is None:
                continue
            found = await recount(session)
            done += found
            if not found or time.monotonic() > end:
                await work.complete(session, {what: done})
                return
        await work.progress(None, f"{done} {what}")
