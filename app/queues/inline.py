"""The runner without Redis: for `ENABLE_QUEUE=false`, and for tests that drain the record of work."""

from datetime import datetime

from sqlalchemy import select

from app.core.database import SYSTEM, Database
from app.queues.clock import clock
from app.queues.models import IN_LINE, JobRow, QueueRow, State
from app.queues.runner import Runner

# Nothing is in hand while the next job is chosen, so one that is active was left behind by a process that died.
READY = (*IN_LINE, State.ACTIVE)


async def drain(database: Database, runner: Runner, *, until: datetime | None = None) -> int:
    """Run every job that is due, oldest first, and what these enqueue, until nothing is; returns the attempts made.

    One process at a time, and no worker beside it. Paused queues wait.

    Args:
        until: also run what is due by then; retries that wait for their back-off included.
    """
    attempts = 0
    paused = select(QueueRow.name).where(QueueRow.paused_at.is_not(None))
    while True:
        due = JobRow.run_at <= (until or clock.moment())
        query = select(JobRow).where(JobRow.state.in_(READY), due, JobRow.queue.not_in(paused))
        async with database.transaction(SYSTEM) as session:
            row = await session.scalar(query.order_by(JobRow.run_at, JobRow.id).limit(1))
        if row is None:
            return attempts
        await runner.settle(await runner.attempt(row.id, row.run))
        attempts += 1
