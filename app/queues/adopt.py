"""Adopting: a job that another program, such as a Node service, put into Redis gets its row in the record of work."""

from datetime import UTC, datetime, timedelta
from typing import Any

import bullmq
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ids import PLATFORM_TENANT, new_id
from app.queues.enqueue import insert_rows
from app.queues.keys import take_keys
from app.queues.models import JobRow, State


async def adopt(session: AsyncSession, queue: str, job: bullmq.Job) -> JobRow:
    """The row of a job that BullMQ has and the record has not; the same row however often this is asked.

    It belongs to the platform, and keeps BullMQ's id in `engine_id`. The key that says so outlives the job's end:
    a job that is delivered again is not adopted again. An id may come back later, so the key holds the moment too.

    Args:
        queue: the queue's name as people know it.
        job: as BullMQ read it from Redis.
    """
    given, opts = job.data, job.opts
    added = datetime.fromtimestamp(job.timestamp / 1000, UTC)
    run_at = added + timedelta(milliseconds=int(opts.get("delay") or 0))
    payload: dict[str, Any] = given if isinstance(given, dict) else {"data": given}
    row = JobRow(
        id=new_id(),
        tenant_id=PLATFORM_TENANT,
        queue=queue,
        kind=job.name,
        payload=payload,
        priority=int(opts.get("priority") or 0),
        state=State.QUEUED,
        delayed=run_at > datetime.now(UTC),
        run_at=run_at,
        max_attempts=max(1, int(opts.get("attempts") or 1)),
        attempts_made=0,
        run=0,
        key=f"bullmq:{job.id}:{job.timestamp}",
        required=True,
        children=0,
        foreign_id=job.id,
    )
    holder = (await take_keys(session, [row], keep=[row.id]))[row.id]
    if holder == row.id:
        await insert_rows(session, [row])
    return await session.get_one(JobRow, holder)
