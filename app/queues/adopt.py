"""Adopting: a job that another program, such as a Node service, put into Redis gets its row in the record of work."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import bullmq
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ids import PLATFORM_TENANT, new_id
from app.queues.clock import clock
from app.queues.enqueue import insert_rows
from app.queues.keys import take_keys
from app.queues.models import JobRow, State, job_id_of


def is_ours(engine_id: str, options: str) -> bool:
    """Whether we have put it into Redis: then its id is a row's, and its options, in JSON, say whose it is."""
    return '"tenant"' in options and job_id_of(engine_id) is not None


async def adopt(session: AsyncSession, queue: str, engine_id: str, fields: Mapping[str, str]) -> JobRow:
    """The row of a job that BullMQ has and the record has not; the same row however often this is asked.

    It belongs to the platform, and keeps BullMQ's id in `engine_id`. The key that says so outlives the job's end:
    a job that is delivered again is not adopted again. An id may come back later, so the key holds the moment too.

    Args:
        queue: the queue's name as people know it.
        fields: BullMQ's hash of the job.

    Raises:
        ValueError, OverflowError or DBAPIError: the record cannot hold what it is.
    """
    known = job_id_of(engine_id)
    if known is not None and (row := await session.get(JobRow, known)) is not None:
        return row
    job = bullmq.Job.fromJSON(SimpleNamespace(backend=None, qualifiedName=""), fields, engine_id)
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
        delayed=run_at > clock.moment(),
        run_at=run_at,
        max_attempts=max(1, int(opts.get("attempts") or 1)),
        attempts_made=job.attemptsMade,
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
