"""Schedules on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from app.core.errors import Invalid
from app.core.wire import Incoming, Outgoing
from app.modules.queues.service import state_of
from app.queues.models import JobRow, ScheduleRow
from app.queues.schedules import Missed, Schedule, fields
from app.queues.timing import Timing

ScheduleState = Literal["active", "paused", "orphaned"]
Cron = Annotated[str, Meta(description="Five fields", examples=["0 3 * * *"])]
EveryS = Annotated[int, Meta(description="An interval in seconds", examples=[3600])]
Zone = Annotated[str, Meta(description="An IANA time zone", examples=["Europe/Berlin"])]


@dataclass(frozen=True, slots=True)
class Run:
    """A job that a schedule made: `due_at` is the time it was for, or the moment at which somebody asked for it."""

    due_at: datetime
    by_hand: bool
    job: JobRow


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule with all that belongs to it. `runs` are the last ones, newest first."""

    row: ScheduleRow
    declared: Schedule | None
    runs: list[Run]

    @property
    def state(self) -> ScheduleState:
        if self.declared is None:
            return "orphaned"
        return "paused" if self.row.paused_at else "active"

    @property
    def next_run_at(self) -> datetime | None:
        return self.row.next_run_at if self.state == "active" else None

    @property
    def differs(self) -> bool:
        """Whether a person's choice stands in place of the code's."""
        return self.declared is not None and self.row.changed_at is not None


class ScheduleChange(Incoming):
    """What to change; what is left out stays. A cron expression takes the place of an interval, and the reverse.

    `missed` says what becomes of times at which no worker ran: one job for all of them, none, or one for each.
    """

    cron: Cron | UnsetType = UNSET
    every_s: EveryS | UnsetType = UNSET
    timezone: Zone | UnsetType = UNSET
    missed: Missed | UnsetType = UNSET

    def timing(self, now: Timing) -> Timing:
        """What `now` becomes, unchecked."""
        timezone = now.timezone if self.timezone is UNSET else self.timezone
        if self.cron is UNSET and self.every_s is UNSET:
            return Timing(now.cron, now.every_s, timezone)
        cron = None if self.cron is UNSET else self.cron
        return Timing(cron, None if self.every_s is UNSET else self.every_s, timezone)


class ScheduleForm(Incoming):
    """The dashboard's form: text as people type it."""

    cron: str = ""
    every_s: str = ""
    timezone: str = ""
    missed: Missed = "once"
    version: int | None = None
    """The version that the person was looking at."""
    csrf_token: str = field(name="_csrf_token", default="")

    def change(self) -> ScheduleChange:
        """
        Raises:
            Invalid (`cron`, `everyS`).
        """
        timing = typed_timing(self.cron, self.every_s, self.timezone)
        return ScheduleChange(
            cron=UNSET if timing.cron is None else timing.cron,
            every_s=UNSET if timing.every_s is None else timing.every_s,
            timezone=timing.timezone,
            missed=self.missed,
        )


class Reason(Incoming):
    """Why, for whoever reads the audit log."""

    reason: Annotated[str, Meta(max_length=500)] | None = None


class RunRead(Outgoing):
    """A job that a schedule made. `dueAt` is the time it was for; `byHand` says that somebody asked for it then."""

    job_id: UUID
    queue: str
    state: str
    due_at: datetime
    by_hand: bool
    finished_at: datetime | None
    duration_ms: int | None
    error_message: str | None


class TimingRead(Outgoing):
    """Either `cron`, read in `timezone`, or `everyS`."""

    cron: str | None
    every_s: int | None
    timezone: str
    missed: str


class ScheduleRead(TimingRead):
    """A schedule as it runs. `declared` is what the code says, null when the code knows no such schedule any more.

    `differs` is true while a person's choice stands in place of the code's. `version` is also the ETag.
    """

    name: str
    queue: str
    kind: str
    state: ScheduleState
    next_run_at: datetime | None
    last_run_at: datetime | None
    last_run: RunRead | None
    declared: TimingRead | None
    differs: bool
    changed_at: datetime | None
    changed_by: str | None
    paused_at: datetime | None
    paused_by: str | None
    paused_reason: str | None
    version: int


class ScheduleDetail(ScheduleRead):
    """With its next five runs and its last ten."""

    upcoming: Sequence[datetime]
    runs: Sequence[RunRead]


class ScheduleList(Outgoing):
    items: Sequence[ScheduleRead]


class RunAnswer(Outgoing):
    """The job that runs now. `created` is false when the one asked for a moment ago, or still unfinished, stands."""

    run: RunRead
    created: bool


class Preview(Outgoing):
    """When a timing would be due next."""

    upcoming: Sequence[datetime]


def typed_timing(cron: str, every_s: str, timezone: str) -> Timing:
    """A timing from what people typed, where empty means not given; unchecked.

    Raises:
        Invalid (`everyS`): it is no number.
    """
    cron, every_s = cron.strip(), every_s.strip()
    if every_s and not (every_s.isascii() and every_s.isdigit() and len(every_s) < 10):
        raise Invalid.field("everyS", "must be a whole number of seconds")
    return Timing(cron or None, int(every_s) if every_s else None, timezone.strip() or "UTC")


def read(plan: Plan) -> ScheduleRead:
    return ScheduleRead(**_fields(plan))


def read_detail(plan: Plan, upcoming: Sequence[datetime]) -> ScheduleDetail:
    return ScheduleDetail(**_fields(plan), upcoming=upcoming, runs=[read_run(run) for run in plan.runs])


def read_run(run: Run) -> RunRead:
    job = run.job
    return RunRead(
        job_id=job.id,
        queue=job.queue,
        state=str(state_of(job)),
        due_at=run.due_at,
        by_hand=run.by_hand,
        finished_at=job.finished_at,
        duration_ms=job.duration_ms,
        error_message=job.error_message,
    )


def _fields(plan: Plan) -> dict[str, Any]:
    code = plan.declared
    own = {name: getattr(plan.row, name, None) for name in ScheduleRead.__struct_fields__}
    return own | {
        "state": plan.state,
        "next_run_at": plan.next_run_at,
        "last_run": read_run(plan.runs[0]) if plan.runs else None,
        "declared": TimingRead(**fields(code.timing, code.missed)) if code else None,
        "differs": plan.differs,
    }
