"""Queues, jobs and dead letters on the wire."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, convert

from app.core.logging import redact
from app.core.wire import Incoming, Outgoing
from app.queues.counts import QueueOverview
from app.queues.lag import Lags
from app.queues.models import AttemptRow, JobRow, State


class JobState(StrEnum):
    """What people and the API call a job's state; several of the record's states may stand behind one."""

    WAITING = "waiting"
    DELAYED = "delayed"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    WAITING_CHILDREN = "waiting_children"
    CANCELLED = "cancelled"
    REMOVED = "removed"


class Reason(Incoming):
    """Why, for whoever reads the audit log."""

    reason: Annotated[str, Meta(max_length=500)] | None = None


class QueueRead(Outgoing):
    """A queue with its numbers. `completed` counts the last 24 hours; `failed` is the number of dead letters.

    `fromRedis` is false while Redis is away: then every number comes from the record of work.
    """

    name: str
    waiting: int
    delayed: int
    active: int
    completed: int
    failed: int
    paused: bool
    paused_at: datetime | None
    paused_by: str | None
    paused_reason: str | None
    max_attempts: int
    timeout_s: float
    from_redis: bool


class QueueList(Outgoing):
    items: Sequence[QueueRead]


class LoopRead(Outgoing):
    """The last round of a loop of the leading worker. `late` after three periods and ten seconds more.

    `cutOff` counts rounds that were ended because they took too long; `error` is the last one, which may be over.
    """

    name: str
    every_s: float
    ran_at: datetime
    age_s: float
    took_ms: float
    late: bool
    failing: bool
    cut_off: int
    error: str | None
    error_at: datetime | None


class LoopList(Outgoing):
    """`leader` is the worker that leads, null while none does; `trouble` is a sentence, empty where all is well."""

    leader: UUID | None
    place: str | None
    trouble: str
    items: Sequence[LoopRead]


class JobItem(Outgoing):
    """A job in a list. `recordState` is the state in the record of work, of which `state` is the short form."""

    id: UUID
    queue: str
    kind: str
    state: JobState
    record_state: str
    tenant_id: UUID
    priority: int
    run: int
    attempts_made: int
    max_attempts: int
    run_at: datetime
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: int | None
    error_message: str | None
    correlation_id: UUID | None


class AttemptRead(Outgoing):
    """One try, with the lines its processor logged."""

    run: int
    n: int
    worker: UUID
    started_at: datetime
    ended_at: datetime | None
    error_class: str | None
    error_message: str | None
    stack: str | None
    log: Sequence[str]


class JobRead(JobItem):
    payload: dict[str, Any]
    result: dict[str, Any] | None
    error_class: str | None
    error_fingerprint: str | None
    request_id: str | None
    worker: UUID | None
    attempts: Sequence[AttemptRead]


class JobPage(Outgoing):
    """A page of jobs, newest first."""

    items: Sequence[JobItem]
    next_cursor: str | None
    prev_cursor: str | None


class DeadLetter(Outgoing):
    """A job that is out of attempts. It keeps its id, so `id` and `originalJobId` are the same."""

    id: UUID
    original_job_id: UUID
    original_queue: str
    last_error: str | None
    failed_at: datetime | None
    attempts: int
    kind: str
    tenant_id: UUID
    fingerprint: str | None
    correlation_id: UUID | None


class DeadLetterPage(Outgoing):
    """A page of dead letters, newest job first."""

    items: Sequence[DeadLetter]
    next_cursor: str | None
    prev_cursor: str | None


def state_of(row: JobRow) -> JobState:
    """The name people know: what waits for a later moment is delayed, and so is a failed attempt to be retried."""
    if row.state in (State.PENDING, State.QUEUED):
        return JobState.DELAYED if row.delayed and row.run_at > datetime.now(UTC) else JobState.WAITING
    return {State.RETRYING: JobState.DELAYED, State.DEAD: JobState.FAILED}.get(State(row.state)) or JobState(row.state)


def read_queue(one: QueueOverview) -> QueueRead:
    return QueueRead(
        name=one.name,
        waiting=one.waiting,
        delayed=one.delayed,
        active=one.active,
        completed=one.completed,
        failed=one.failed,
        paused=one.paused_at is not None,
        paused_at=one.paused_at,
        paused_by=one.paused_by,
        paused_reason=one.paused_reason,
        max_attempts=one.spec.attempts,
        timeout_s=one.spec.timeout_s,
        from_redis=one.from_redis,
    )


def read_loops(lags: Lags) -> LoopList:
    items = [convert(loop, LoopRead, from_attributes=True) for loop in lags.loops]
    return LoopList(leader=lags.leader, place=lags.place, trouble=lags.trouble, items=items)


def item(row: JobRow) -> JobItem:
    return JobItem(**_item(row))


def read(row: JobRow, attempts: Sequence[AttemptRow]) -> JobRead:
    return JobRead(
        **_item(row),
        payload=redact(row.payload),
        result=redact(row.result),
        error_class=row.error_class,
        error_fingerprint=row.error_fingerprint,
        request_id=row.request_id,
        worker=row.worker,
        attempts=[convert(attempt, AttemptRead, from_attributes=True) for attempt in attempts],
    )


def letter(row: JobRow) -> DeadLetter:
    return DeadLetter(
        id=row.id,
        original_job_id=row.id,
        original_queue=row.queue,
        last_error=row.error_message,
        failed_at=row.finished_at,
        attempts=row.attempts_made,
        kind=row.kind,
        tenant_id=row.tenant_id,
        fingerprint=row.error_fingerprint,
        correlation_id=row.correlation_id,
    )


def _item(row: JobRow) -> dict[str, Any]:
    computed = {"state": state_of(row), "record_state": row.state}
    return computed | {name: getattr(row, name) for name in JobItem.__struct_fields__ if name not in computed}
