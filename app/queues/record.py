"""Every change of a job's state, each one compare-and-set on its run, so that two can never both happen."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, case, func, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import signal
from app.queues import batch_sql
from app.queues.failure import Failure
from app.queues.models import UNFINISHED, AttemptRow, JobRow, State

TOPIC = "queues"
_FINISHED = {"finished_at": func.now(), "worker": None}
_DURATION = func.extract("epoch", func.now() - JobRow.started_at) * 1000


async def complete(session: AsyncSession, row: JobRow, result: dict[str, Any] | None, log: Sequence[str]) -> bool:
    """False when the attempt is no longer the current one."""
    # Fifty handlers at once end like this, so it is the one statement that ends a whole batch.
    values = {
        "ids": [row.id],
        "low": row.id,
        "high": row.id,
        "runs": [row.run],
        "attempts": [row.attempt],
        "took_ms": [None],
        "results": [None if result is None else json.dumps(result)],
        "logs": [json.dumps(list(log))],
    }
    done = (await session.scalars(batch_sql.COMPLETE, values)).all()
    if done:
        await after_end(session, [row])
    return bool(done)


async def after_end(session: AsyncSession, rows: Sequence[JobRow]) -> None:
    """These jobs have ended in this transaction."""
    await session.execute(batch_sql.FREE_KEYS, {"ids": [row.id for row in rows]})
    for row in rows:
        signal(session, TOPIC, row.queue, row.tenant_id)


async def complete_elsewhere(session: AsyncSession, row: JobRow) -> bool:
    """A worker that keeps no record, such as a Node program's, has finished this run."""
    done = await _set(session, row, (JobRow.state.in_(UNFINISHED),), state=State.COMPLETED, **_FINISHED)
    if done:
        await after_end(session, [row])
    return done


async def retry_later(
    session: AsyncSession, row: JobRow, failure: Failure, log: Sequence[str], wait: timedelta
) -> bool:
    """False when the attempt is no longer the current one."""
    done = await _set(
        session,
        row,
        (JobRow.state == State.ACTIVE, JobRow.attempt == row.attempt),
        state=State.RETRYING,
        attempts_made=JobRow.attempts_made + 1,
        run_at=func.now() + wait,
        worker=None,
        **_error(failure),
    )
    if done:
        await _end_attempt(session, row, failure, log)
    return done


async def hand_back(session: AsyncSession, row: JobRow, log: Sequence[str]) -> None:
    """The worker has to stop: the job waits again, and the attempt is none."""
    current = (JobRow.state == State.ACTIVE, JobRow.attempt == row.attempt)
    if await _set(session, row, current, state=State.QUEUED, worker=None):
        await _end_attempt(session, row, Failure.told("WorkerStopped", "the worker was stopped"), log)


async def bury(session: AsyncSession, row: JobRow, failure: Failure, log: Sequence[str]) -> bool:
    """The state `dead` is the dead letter. False when the job had ended already."""
    # An attempt that was under way has failed; a job that died waiting made none.
    ended = case((JobRow.state == State.ACTIVE, JobRow.attempts_made + 1), else_=JobRow.attempts_made)
    done = await _set(
        session,
        row,
        (JobRow.state.in_(UNFINISHED),),
        state=State.DEAD,
        attempts_made=ended,
        duration_ms=_DURATION,
        **_error(failure),
        **_FINISHED,
    )
    if done:
        await _end_attempt(session, row, failure, log)
        await after_end(session, [row])
    return done


async def close(session: AsyncSession, row: JobRow, state: State, allowed: Sequence[State]) -> bool:
    """End a job without running it: cancelled or removed."""
    done = await _set(session, row, (JobRow.state.in_(allowed),), state=state, **_FINISHED)
    if done:
        await after_end(session, [row])
    return done


async def run_again(session: AsyncSession, row: JobRow) -> bool:
    """A new run of a dead job: compare-and-set, so a double click is one run."""
    return await _set(
        session,
        row,
        (JobRow.state == State.DEAD,),
        state=State.PENDING,
        run=row.run + 1,
        attempts_made=0,
        attempt=0,
        delayed=False,
        run_at=func.now(),
        started_at=None,
        finished_at=None,
        duration_ms=None,
    )


async def run_now(session: AsyncSession, row: JobRow) -> bool:
    """Make a job that waits for its time due at once."""
    waiting = (State.PENDING, State.QUEUED, State.RETRYING)
    return await _set(session, row, (JobRow.state.in_(waiting),), run_at=func.now(), delayed=False)


async def _end_attempt(session: AsyncSession, row: JobRow, failure: Failure | None, log: Sequence[str]) -> None:
    values: dict[str, Any] = {"ended_at": func.now(), "log": list(log)}
    if failure is not None:
        values |= {"error_class": failure.error_class, "error_message": failure.message, "stack": failure.stack}
    await session.execute(
        update(AttemptRow)
        .where(AttemptRow.job_id == row.id, AttemptRow.run == row.run, AttemptRow.n == row.attempt)
        .where(AttemptRow.ended_at.is_(None))
        .values(**values)
    )


async def mark_effect(session: AsyncSession, row: JobRow, step: str) -> bool:
    """False when the step was done before."""
    values = {"id": row.id, "step": step, "tenant": row.tenant_id}
    return (await session.execute(batch_sql.MARK_EFFECT, values)).first() is not None


async def mark_queued(session: AsyncSession, pushed: Sequence[tuple[UUID, int]]) -> None:
    """In one statement: the group commits of a worker wait for whoever holds one of their rows."""
    query = (
        update(JobRow)
        .where(tuple_(JobRow.id, JobRow.run).in_(pushed), JobRow.state == State.PENDING)
        .values(state=State.QUEUED)
        .execution_options(synchronize_session=False)
    )
    await session.execute(query)


async def push_again(session: AsyncSession, job_id: UUID, run: int, seen: datetime) -> bool:
    """Hand a job that Redis no longer knows back to the relay, unless it moved since `seen`."""
    query = (
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.run == run, JobRow.updated_at == seen, JobRow.state.in_(UNFINISHED))
        .values(state=State.PENDING, worker=None)
    )
    return await _count(session, query) == 1


def _error(failure: Failure) -> dict[str, Any]:
    return {
        "error_class": failure.error_class,
        "error_message": failure.message,
        "error_fingerprint": failure.fingerprint,
    }


async def _set(session: AsyncSession, row: JobRow, conditions: tuple[Any, ...], **values: Any) -> bool:
    query = update(JobRow).where(JobRow.id == row.id, JobRow.run == row.run, *conditions).values(**values)
    done = await _count(session, query) == 1
    if done:
        signal(session, TOPIC, row.queue, row.tenant_id)
    return done


async def _count(session: AsyncSession, query: Any) -> int:
    result = await session.execute(query.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount
