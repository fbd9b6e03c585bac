"""Tells marked days of funnels, one tenant's a transaction, until none is marked or its time is over."""

import time

from app.modules.funnels.jobs import MaterializeFunnels
from app.modules.funnels.service import tell_marked
from app.queues.job import processor
from app.queues.work import Work

LONGEST_S = 240.0  # the rest is left to the next run


@processor(MaterializeFunnels)
async def materialize_funnels(work: Work, _: MaterializeFunnels) -> None:
    end, done, step = time.monotonic() + LONGEST_S, 0, 0
    while True:
        step += 1
        async with work.transaction(f"days:{step}") as session:
            if session is None:
                continue
            found = await tell_marked(session)
            done += found
            if not found or time.monotonic() > end:
                await work.complete(session, {"days": done})
                return
        await work.progress(None, f"{done} days")
