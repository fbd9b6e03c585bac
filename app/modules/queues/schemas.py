"""Queues, jobs and dead letters on the wire."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Raw, UnsetType, convert
from msgspec.structs import replace

from app.core.access import Access
from app.core.logging import redact
from app.core.wire import Incoming, Outgoing, Sensitive
from app.queues.clock import clock
from app.queues.counts import QueueOverview
from app.queues.lag import Lags
from app.queues.letters import Done
from app.queues.loads import Loads
from app.queues.models import IN_LINE, AttemptRow, JobRow, State
from app.queues.record import TRASH_LASTS
from app.queues.spec import Limits, Rate
from app.redis.cached import Cached


@dataclass(frozen=True, slots=True)
class JobSeen:
    """A job with what belongs to it: its attempts, oldest first, all jobs below it, its parent, what it was edited
    from and to, how long an attempt may take."""

    row: JobRow
    attempts: Sequence[AttemptRow]
    flow: Sequence[JobRow]
    parent: JobRow | None
    edited_from: JobRow | None
    edited_to: JobRow | None
    limit_s: float


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


JOB_SEEN = Access("owner.read.queue_job", "job", of="job_id", fields=("payload", "result", "error", "attempts"))
ANY = "any"
"""In an address: jobs of every state."""
QUEUE_ANSWERS = Cached("owner", "queues", "answers", Raw, 10, ("queues",), "Queues and jobs, over the API.")


class Reason(Incoming):
    """Why, for whoever reads the audit log."""

    reason: Annotated[str, Meta(max_length=500)] | None = None


class LetterChoice(Incoming):
    """Which dead letters of a queue: those that fit all that is given. `all` has to be said."""

    ids: Annotated[Sequence[UUID], Meta(max_length=1000)] | None = None
    kind: Annotated[str, Meta(max_length=200)] | None = None
    fingerprint: Annotated[str, Meta(max_length=200)] | None = None
    tenant_id: UUID | None = None
    all: bool = False


class LettersDone(Outgoing):
    """How many dead letters were replayed or removed at once, at most 1,000, and how many that fit are `left`.

    `skipped` were not replayed, because their work was asked for again since and is unfinished. `removedAt` is the
    moment of a removal, by which it can be undone.
    """

    done: int
    skipped: int
    left: int
    removed_at: datetime | None


class Removal(Incoming):
    """A removal of many dead letters, by the moment that its answer named."""

    removed_at: Annotated[datetime, Meta(tz=True)]


class EditedPayload(Incoming):
    """The new job's payload. A value sent as `***`, as it is shown, stays what it was."""

    payload: dict[str, Any]


class LetterGroup(Outgoing):
    """Dead letters with one cause; the error is the newest letter's."""

    fingerprint: str | None
    error_class: str | None
    error_message: str | None
    count: int
    first_failed_at: datetime
    last_failed_at: datetime
    kinds: Sequence[str]


class LetterGroups(Outgoing):
    items: Sequence[LetterGroup]


Jobs = Annotated[int, Meta(ge=1, le=1_000_000)]
Places = Annotated[int, Meta(ge=1, le=100_000)]
Seconds = Annotated[float, Meta(ge=0.01, le=86_400)]


class RateChange(Incoming):
    """At most so many starts in so many seconds."""

    jobs: Jobs
    per_s: Seconds


class LimitsChange(Incoming):
    """What to change; fields that are left out stay as they are, and null is no limit."""

    rate: RateChange | UnsetType | None = UNSET
    running: Places | UnsetType | None = UNSET
    running_per_tenant: Places | UnsetType | None = UNSET

    def over(self, limits: Limits) -> Limits:
        rate = Rate(self.rate.jobs, self.rate.per_s) if isinstance(self.rate, RateChange) else self.rate
        given = {"rate": rate, "running": self.running, "running_per_tenant": self.running_per_tenant}
        return replace(limits, **{name: value for name, value in given.items() if value is not UNSET})


class RateRead(Outgoing):
    jobs: int
    per_s: float


class LimitsRead(Outgoing):
    """What a queue may do over all worker processes together; null is no limit."""

    rate: RateRead | None
    running: int | None
    running_per_tenant: int | None


class QueueRead(Outgoing):
    """A queue with its numbers. `completed` counts the last 24 hours; `failed` is the number of dead letters.

    `limitsChanged` says that a person has set the limits; else they are those of the code.
    An attempt may take `timeoutS`, and one at a kind in `kindTimeouts` the seconds given there.
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
    kind_timeouts: dict[str, float]
    from_redis: bool
    limits: LimitsRead
    limits_changed: bool


class QueueList(Outgoing):
    items: Sequence[QueueRead]


class TenantLoadRead(Outgoing):
    """A tenant's numbers in a queue. `completed` counts the last 24 hours; `failed` is the number of dead letters.

    `errors` are dead letters and unfinished jobs whose last try failed; `timedOut` those that took too long.
    """

    tenant_id: UUID
    name: str | None
    waiting: int
    delayed: int
    active: int
    failed: int
    errors: int
    timed_out: int
    completed: int


class QueueTenants(Outgoing):
    """The tenants with most work in a queue, the busiest first; `partial` where only the newest 10,000 jobs of a state
    were counted."""

    items: Sequence[TenantLoadRead]
    partial: bool


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
    """A job in a list. `recordState` is the state in the record of work, of which `state` is the short form.

    `removedFrom` is the state a removed job had; while `undoable`, a restoration brings it back to that.
    `required` says of a child that its parent dies with it.
    """

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
    progress: int | None
    progress_note: str | None
    parent_id: UUID | None
    child_count: int
    required: bool
    edited_from: UUID | None
    cancel_requested_at: datetime | None
    removed_from: str | None
    undoable: bool


class FlowJob(Outgoing):
    """A job of a flow, with those it waits for; of a large flow the first 500."""

    id: UUID
    queue: str
    kind: str
    state: JobState
    required: bool
    progress: int | None
    error_message: str | None
    children: Sequence["FlowJob"]


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


class JobRead(JobItem, Sensitive):
    """A job with its payload, its result and its errors. One attempt may take `timeoutS` seconds."""

    payload: dict[str, Any]
    result: dict[str, Any] | None
    error_class: str | None
    error_fingerprint: str | None
    request_id: str | None
    worker: UUID | None
    timeout_s: float
    edited_to: UUID | None
    children: Sequence[FlowJob]
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
    if row.state in IN_LINE:
        return JobState.DELAYED if row.delayed else JobState.WAITING
    return JobState.FAILED if row.state == State.DEAD else JobState(row.state)


def in_trash(row: JobRow) -> bool:
    return row.removed_at is not None and row.removed_at > clock.moment() - TRASH_LASTS


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
        kind_timeouts=dict(one.kind_limits_s),
        from_redis=one.from_redis,
        limits=convert(one.limits, LimitsRead, from_attributes=True),
        limits_changed=one.limits_changed,
    )


def read_loads(found: Loads, names: Mapping[UUID, str]) -> QueueTenants:
    items = [TenantLoadRead(name=names.get(one.tenant_id), **asdict(one)) for one in found.tenants]
    return QueueTenants(items=items, partial=found.partial)


def read_loops(lags: Lags) -> LoopList:
    items = [convert(loop, LoopRead, from_attributes=True) for loop in lags.loops]
    return LoopList(leader=lags.leader, place=lags.place, trouble=lags.trouble, items=items)


def item(row: JobRow) -> JobItem:
    return JobItem(**_item(row))


def read(seen: JobSeen) -> JobRead:
    row = seen.row
    return JobRead(
        **_item(row),
        payload=redact(row.payload),
        result=redact(row.result),
        error_class=row.error_class,
        error_fingerprint=row.error_fingerprint,
        request_id=row.request_id,
        worker=row.worker,
        timeout_s=seen.limit_s,
        edited_to=seen.edited_to.id if seen.edited_to else None,
        children=flow_of(row.id, seen.flow),
        attempts=[convert(attempt, AttemptRead, from_attributes=True) for attempt in seen.attempts],
    )


def flow_of(parent: UUID, rows: Sequence[JobRow]) -> list[FlowJob]:
    """The tree below a parent, of all the rows below it."""
    return [
        FlowJob(
            id=row.id,
            queue=row.queue,
            kind=row.kind,
            state=state_of(row),
            required=row.required,
            progress=row.progress,
            error_message=row.error_message,
            children=flow_of(row.id, rows) if row.children else (),
        )
        for row in rows
        if row.parent_id == parent
    ]


def done(what: Done) -> LettersDone:
    removed_at = what.rows[0].removed_at if what.rows else None
    return LettersDone(done=len(what.rows), skipped=what.skipped, left=what.left, removed_at=removed_at)


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
    computed = {
        "state": state_of(row),
        "record_state": row.state,
        "child_count": row.children,
        "undoable": in_trash(row),
    }
    return computed | {name: getattr(row, name) for name in JobItem.__struct_fields__ if name not in computed}
