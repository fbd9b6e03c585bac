"""Every change of a job's state, each one compare-and-set on its run, so that two can never both happen."""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self
from uuid import UUID

from sqlalchemy import CursorResult, Update, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.direct import Direct, direct
from app.core.live import signal
from app.queues import batch_sql
from app.queues.children import release, unfinished_children
from app.queues.ended import count_ended
from app.queues.failure import Failure, Superseded
from app.queues.keys import free_keys
from app.queues.models import IN_LINE, UNFINISHED, AnyJob, AttemptRow, JobRow, Outcome, State

TOPIC = "queues"
CANCEL_TOPIC = "queues.cancel"
"""Signals on it name a job that somebody wants to stop; its worker listens. Pages cannot follow it."""
TRASH_LASTS = timedelta(minutes=10)
_FINISHED = {"finished_at": func.now(), "worker": None, "delayed": False}
_NEW_RUN: dict[str, Any] = {
    "run": JobRow.run + 1,
    "attempt": 0,
    "started_at": None,
    "finished_at": None,
    "duration_ms": None,
    "cancel_requested_at": None,
    "cancel_requested_by": None,
    "progress": None,
    "progress_note": None,
}
_DURATION = func.extract("epoch", func.now() - JobRow.started_at) * 1000


class Ended(NamedTuple):
    """A job that has just ended, as far as others wait for that."""

    id: UUID
    queue: str
    tenant_id: UUID
    parent_id: UUID | None

    @classmethod
    def of(cls, row: AnyJob) -> Self:
        return cls(row.id, row.queue, row.tenant_id, row.parent_id)


async def after_end(session: AsyncSession, ended: Sequence[Ended], outcome: Outcome | None) -> None:
    """What follows in the transaction in which jobs end, however they end: free keys, waiting parents, counts, signals.

    By statements over all of them together. Without an outcome they were counted before. Whoever ends jobs in another
    way than by this file calls it.
    """
    await free_keys(session, [job.id for job in ended])
    if outcome is not None:
        await count_ended(session, ended, outcome)
    if parents := {job.parent_id for job in ended if job.parent_id is not None}:
        await release(session, parents)
    signal_all(session, ended)


async def after_completion(here: Direct, ended: Sequence[Ended]) -> None:
    """The same for jobs that `batch_sql` has completed. Where one of them has a parent, a session is wanted."""
    if parents := {job.parent_id for job in ended if job.parent_id is not None}:
        assert here.session is not None
        await release(here.session, parents)
    signal_all(here, ended)


def signal_all(session: AsyncSession | Direct, changed: Iterable[Ended | AnyJob]) -> None:
    """One signal for each queue and tenant, however many jobs."""
    for queue, tenant in {(job.queue, job.tenant_id) for job in changed}:
        signal(session, TOPIC, queue, tenant)


async def complete(
    session: AsyncSession | Direct, row: AnyJob, result: dict[str, Any] | None, log: Sequence[str]
) -> bool:
    """False when the attempt is no longer the current one."""
    here = await direct(session)
    # Fifty handlers at once end like this, so it is the one statement that ends a whole batch.
    told = None if result is None else json.dumps(result, allow_nan=False)
    lines = json.dumps(list(log))
    this = ([row.id], row.id, row.id, [row.run], [row.attempt])
    done = await here.connection.fetch(batch_sql.COMPLETE, *this, [None], [told], [lines])
    if done:
        await after_completion(here, [Ended.of(row)])
    return bool(done)


async def complete_elsewhere(session: AsyncSession, row: AnyJob) -> bool:
    """A worker that keeps no record, such as a Node program's, has finished this run."""
    done = await _set(session, row, (JobRow.state.in_(UNFINISHED),), state=State.COMPLETED, **_FINISHED)
    if done:
        await after_end(session, [Ended.of(row)], Outcome.COMPLETED)
    return done


async def tell(session: AsyncSession, row: AnyJob, progress: int | None, note: str | None, log: Sequence[str]) -> None:
    """Show how far the current attempt is, and what it has logged so far. Nothing happens when it is over."""
    current = (JobRow.state == State.ACTIVE, JobRow.attempt == row.attempt)
    if await _set(session, row, current, progress=progress, progress_note=note):
        await session.execute(_open_attempt(row).values(log=list(log)))


async def retry_later(
    session: AsyncSession, row: AnyJob, failure: Failure, log: Sequence[str], wait: timedelta
) -> bool:
    """False when the attempt is no longer the current one."""
    done = await _set(
        session,
        row,
        (JobRow.state == State.ACTIVE, JobRow.attempt == row.attempt),
        state=State.RETRYING,
        attempts_made=JobRow.attempts_made + 1,
        run_at=func.now() + wait,
        delayed=True,
        worker=None,
        **_error(failure),
    )
    if done:
        await _end_attempt(session, row, failure, log)
        await count_ended(session, [Ended.of(row)], Outcome.FAILED)
    return done


async def hand_back(session: AsyncSession, row: AnyJob, log: Sequence[str]) -> None:
    """The worker has to stop: the job waits again, and the attempt is none."""
    current = (JobRow.state == State.ACTIVE, JobRow.attempt == row.attempt)
    if await _set(session, row, current, state=State.QUEUED, worker=None):
        await _end_attempt(session, row, Failure.told("WorkerStopped", "the worker was stopped"), log)


async def bury(session: AsyncSession, row: AnyJob, failure: Failure, log: Sequence[str]) -> bool:
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
        await after_end(session, [Ended.of(row)], Outcome.DEAD)
    return done


async def cancelled(session: AsyncSession, row: AnyJob, log: Sequence[str]) -> bool:
    """The worker has stopped this attempt because somebody wanted it. False when the attempt is no longer current."""
    wanted = (JobRow.state == State.ACTIVE, JobRow.attempt == row.attempt, JobRow.cancel_requested_at.is_not(None))
    done = await _set(session, row, wanted, state=State.CANCELLED, duration_ms=_DURATION, **_FINISHED)
    if done:
        by = await session.scalar(select(JobRow.cancel_requested_by).where(JobRow.id == row.id))
        await _end_attempt(session, row, Failure.told("Cancelled", f"cancelled by {by or 'somebody'}"), log)
        await after_end(session, [Ended.of(row)], Outcome.CANCELLED)
    return done


async def want_cancelled(session: AsyncSession, ids: Collection[UUID], by: str) -> list[JobRow]:
    """Note on these active jobs that somebody wants them to stop, and tell the workers; returns those still active."""
    wish = {
        "cancel_requested_at": func.coalesce(JobRow.cancel_requested_at, func.now()),
        "cancel_requested_by": func.coalesce(JobRow.cancel_requested_by, by),
    }
    query = update(JobRow).where(JobRow.id.in_(ids), JobRow.state == State.ACTIVE).values(**wish)
    rows = await _returned(session, query)
    tell_workers(session, rows)
    signal_all(session, rows)
    return rows


def tell_workers(session: AsyncSession, rows: Sequence[JobRow]) -> None:
    """Nobody wants these jobs to run any more."""
    for row in rows:
        signal(session, CANCEL_TOPIC, row.id, row.tenant_id)


async def close(
    session: AsyncSession, ids: Collection[UUID], state: State, allowed: Sequence[State], *, undoable: bool = False
) -> list[JobRow]:
    """End jobs without running them, cancelled or removed; returns those that were in an allowed state.

    What is removed keeps in `removed_from` where it stood; `undoable` puts it into the trash.
    """
    values: dict[str, Any] = {
        "state": state,
        "worker": None,
        "delayed": False,
        "finished_at": func.coalesce(JobRow.finished_at, func.now()),
    }
    if state is State.REMOVED:
        values |= {"removed_from": JobRow.state, "removed_at": func.now() if undoable else None}
    query = update(JobRow).where(JobRow.id.in_(ids), JobRow.state.in_(allowed)).values(**values)
    rows = await _returned(session, query)
    # What lay there as ended has been counted.
    over = [Ended.of(row) for row in rows if row.removed_from not in (None, *UNFINISHED)]
    unfinished = [Ended.of(row) for row in rows if row.removed_from in (None, *UNFINISHED)]
    await after_end(session, unfinished, Outcome(state))
    await after_end(session, over, None)
    return rows


async def leave_flow(session: AsyncSession, job_id: UUID) -> None:
    """A dead letter that another job is to stand for is nobody's child any more."""
    query = update(JobRow).where(JobRow.id == job_id, JobRow.state == State.DEAD).values(parent_id=None)
    await session.execute(query.execution_options(synchronize_session=False))


async def run_again(session: AsyncSession, ids: Collection[UUID]) -> list[JobRow]:
    """A new run of those that are dead: compare-and-set, so a double click is one run. Keys are the caller's to take.

    A parent whose children were replayed too waits for them again.
    """
    waits = (JobRow.children > 0) & unfinished_children(JobRow.id)
    query = (
        update(JobRow)
        .where(JobRow.id.in_(ids), JobRow.state == State.DEAD)
        .values(state=case((waits, State.WAITING_CHILDREN), else_=State.PENDING), **_NEW_RUN)
        .values(attempts_made=0, delayed=False, run_at=func.now())
    )
    rows = await _returned(session, query)
    signal_all(session, rows)
    return rows


async def restore(session: AsyncSession, ids: Collection[UUID]) -> list[JobRow]:
    """Those that are in the trash, into the state from before; what was unfinished gets a new run."""
    unfinished = JobRow.removed_from.in_(UNFINISHED)
    waits = (JobRow.children > 0) & unfinished_children(JobRow.id)
    before = case((unfinished & waits, State.WAITING_CHILDREN), (unfinished, State.PENDING), else_=JobRow.removed_from)
    query = (
        update(JobRow)
        .where(JobRow.id.in_(ids), JobRow.state == State.REMOVED, JobRow.removed_at > func.now() - TRASH_LASTS)
        .values(
            state=before,
            delayed=(before == State.PENDING) & (JobRow.run_at > func.now()),
            removed_from=None,
            removed_at=None,
            **{name: case((unfinished, value), else_=getattr(JobRow, name)) for name, value in _NEW_RUN.items()},
        )
    )
    rows = await _returned(session, query)
    signal_all(session, rows)
    return rows


async def run_now(session: AsyncSession, row: AnyJob) -> bool:
    """Make a job that waits for its time due at once. It waits like others then, also where it was retrying."""
    state = case((JobRow.state == State.RETRYING, State.QUEUED), else_=JobRow.state)
    return await _set(session, row, (JobRow.state.in_(IN_LINE),), state=state, run_at=func.now(), delayed=False)


async def _end_attempt(session: AsyncSession, row: AnyJob, failure: Failure | None, log: Sequence[str]) -> None:
    values: dict[str, Any] = {"ended_at": func.now(), "log": list(log)}
    if failure is not None:
        values |= {"error_class": failure.error_class, "error_message": failure.message, "stack": failure.stack}
    await session.execute(_open_attempt(row).values(**values))


def _open_attempt(row: AnyJob) -> Update:
    this = (AttemptRow.job_id == row.id, AttemptRow.run == row.run, AttemptRow.n == row.attempt)
    return update(AttemptRow).where(*this, AttemptRow.ended_at.is_(None))


async def mark_effect(session: AsyncSession | Direct, row: AnyJob, step: str) -> bool:
    """False when the step was done before.

    Raises:
        Superseded: the attempt is not the current one.
    """
    here = await direct(session)
    current, new = await here.connection.fetchrow(batch_sql.MARK_EFFECT, row.id, row.run, row.attempt, step)
    if not current:
        raise Superseded
    return bool(new)


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


async def _set(session: AsyncSession, row: AnyJob, conditions: tuple[Any, ...], **values: Any) -> bool:
    query = update(JobRow).where(JobRow.id == row.id, JobRow.run == row.run, *conditions).values(**values)
    done = await _count(session, query) == 1
    if done:
        signal(session, TOPIC, row.queue, row.tenant_id)
    return done


async def _returned(session: AsyncSession, query: Any) -> list[JobRow]:
    """The rows that an UPDATE changed, as they are now."""
    options = {"synchronize_session": False, "populate_existing": True}
    found = (await session.scalars(query.returning(JobRow).execution_options(**options))).all()
    return sorted(found, key=lambda row: row.id)


async def _count(session: AsyncSession, query: Any) -> int:
    result = await session.execute(query.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount
