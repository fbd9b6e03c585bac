"""The runner without Redis: for `ENABLE_QUEUE=false`, and for tests that drain the record of work."""

import asyncio
from datetime import UTC, datetime

import structlog
from sqlalchemy import select

from app.core.database import SYSTEM, Database
from app.queues.models import JobRow, State
from app.queues.runner import Runner

log = structlog.get_logger()
READY = (State.PENDING, State.QUEUED, State.RETRYING)
IDLE_S = 0.5


async def drain(database: Database, runner: Runner, *, until: datetime | None = None) -> int:
    """Run every job that is due, oldest first, and what these enqueue, until nothing is; returns the attempts made.

    Args:
        until: also run what is due by then; retries that wait for their back-off included.
    """
    attempts = 0
    while True:
        async with database.transaction(SYSTEM) as session:
            due = JobRow.run_at <= (until or datetime.now(UTC))
            query = select(JobRow).where(JobRow.state.in_(READY), due).order_by(JobRow.run_at, JobRow.id).limit(1)
            row = await session.scalar(query)
        if row is None:
            return attempts
        await runner.settle(await runner.attempt(row.id, row.run))
        attempts += 1


async def run_inline(database: Database, runner: Runner) -> None:
    """Serve the record of work in this process, for ever, one job at a time."""
    while True:
        try:
            await drain(database, runner)
        except Exception:
            log.exception("inline.failed")
        await asyncio.sleep(IDLE_S)
