"""Schedules are rows: the leading worker inserts each due job under the key (schedule, due time)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Any, Literal

import structlog
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database
from app.core.errors import Invalid
from app.core.ids import PLATFORM_TENANT
from app.core.live import signal
from app.queues.clock import clock as jobs
from app.queues.enqueue import enqueue
from app.queues.job import Job
from app.queues.models import ScheduleRow
from app.queues.timing import Timing

log = structlog.get_logger()
TOPIC = "schedules"
Missed = Literal["once", "skip", "all"]
ON_TIME = timedelta(seconds=60)
"""A run that is later than this was missed, not merely waited for: another worker had to take the lead."""
MOST_MISSED = 100
BY_HAND = ":by-hand"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job that runs by the clock.

    `missed` says what becomes of the times at which no worker ran: `once` makes one job for all of them, `skip`
    none, `all` one for each, at most MOST_MISSED.
    """

    name: str
    timing: Timing
    job: Job
    missed: Missed = "once"

    def checked(self) -> "Schedule":
        """
        Raises:
            Invalid: naming `name`, `cron`, `everyS` or `timezone`.
        """
        # `preview` is an address of its own beside those of the schedules.
        if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", self.name) or self.name == "preview":
            raise Invalid.field("name", "must be small letters and digits, with hyphens between, and not preview")
        return replace(self, timing=self.timing.checked())


def key_of(name: str, moment: datetime, *, by_hand: bool = False) -> str:
    """The job key of one run. In UTC and of one length, so that keys sort as their times do."""
    return f"schedule:{name}:{moment.astimezone(UTC).isoformat(timespec='microseconds')}{BY_HAND if by_hand else ''}"


def moment_of(key: str) -> tuple[datetime, bool]:
    """What `key_of` put into a key: the time, and whether a person asked for it."""
    moment = key.removesuffix(BY_HAND).split(":", 2)[2]
    return datetime.fromisoformat(moment), key.endswith(BY_HAND)


def declared_in(session: AsyncSession) -> Mapping[str, Schedule]:
    """The schedules of the code, by name; every session of the process carries them."""
    declared: Mapping[str, Schedule] = session.info["schedules"]
    return declared


def timing_of(row: ScheduleRow) -> Timing:
    return Timing(row.cron, row.every_s, row.timezone)


def outdated(row: ScheduleRow, schedule: Schedule) -> dict[str, Any]:
    """What the code declares and the row does not have yet; when a person chose the timing, it stays."""
    told: dict[str, Any] = {"queue": schedule.job.queue, "kind": schedule.job.kind}
    if row.changed_at is None:
        told |= fields(schedule.timing, schedule.missed)
    return {name: value for name, value in told.items() if getattr(row, name) != value}


def fields(timing: Timing, missed: str) -> dict[str, Any]:
    return {"cron": timing.cron, "every_s": timing.every_s, "timezone": timing.timezone, "missed": missed}


async def clock(session: AsyncSession) -> datetime:
    """PostgreSQL's, which all hosts share: a worker whose own clock is wrong runs nothing early."""
    now: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return now


def first_row(schedule: Schedule, now: datetime) -> ScheduleRow:
    """How a schedule begins that nothing is known of yet."""
    job, timing = schedule.job, schedule.timing
    values = {"name": schedule.name, "queue": job.queue, "kind": job.kind, "next_run_at": timing.next_after(now)}
    return ScheduleRow(**values, **fields(timing, schedule.missed), version=1)


async def locked(session: AsyncSession, schedule: Schedule, now: datetime) -> ScheduleRow:
    """Its row, for this transaction alone; made where there is none yet, and as the code has it by now."""
    first = {"name": schedule.name, "next_run_at": schedule.timing.next_after(now)}
    await session.execute(insert(ScheduleRow).values(first).on_conflict_do_nothing())
    row = await session.get(ScheduleRow, schedule.name, with_for_update=True, populate_existing=True)
    assert row is not None
    timed = row.cron is not None or row.every_s is not None
    changes = outdated(row, schedule)
    for name, value in changes.items():
        setattr(row, name, value)
    if timed and changes.keys() & {"cron", "every_s", "timezone"}:
        row.next_run_at = timing_of(row).next_after(now)
    return row


def due_times(row: ScheduleRow, now: datetime) -> list[datetime]:
    """For which times a job is to be made now; none of them is after `now`."""
    timing, first = timing_of(row), row.next_run_at
    if row.missed == "all":
        times = takewhile(lambda due: due <= now, timing.upcoming(first, first))
        found = [first, *islice(times, MOST_MISSED)]
        if len(found) > MOST_MISSED:
            log.warning("schedule.missed_too_many", schedule=row.name, kept=MOST_MISSED)
        return found[:MOST_MISSED]
    if row.missed == "skip" and first < now - ON_TIME:
        first = timing.next_after(now - ON_TIME, first)
    return [first] if first <= now else []


async def enqueue_due(session: AsyncSession, schedule: Schedule) -> int:
    """Make the jobs of a schedule that are due, in the caller's transaction; returns how many.

    Two that do this at the same time take turns at the row; and were the row ever wrong, the keys still hold.
    """
    now = await clock(session)
    row = await locked(session, schedule, now)
    if row.paused_at is not None or row.next_run_at > now:
        return 0
    times = due_times(row, now)
    for due in times:
        # PostgreSQL's clock may be a little ahead of the one that jobs are due by, and this is due now.
        run_at = min(due, jobs.moment())
        await enqueue(session, schedule.job, run_at=run_at, key=key_of(row.name, due), keep_key=True)
    row.next_run_at = timing_of(row).next_after(now, row.next_run_at)
    if times:
        row.last_run_at = now
    signal(session, TOPIC, row.name, PLATFORM_TENANT)
    return len(times)


class Scheduler:
    """The leading worker's loop over all declared schedules."""

    def __init__(self, database: Database, schedules: Sequence[Schedule]) -> None:
        self._database = database
        self._schedules = schedules

    async def enqueue_due(self) -> int:
        """Enqueue what is due, each schedule in a transaction of its own; returns how many jobs.

        Raises:
            RuntimeError: some schedules failed; the others had their turn all the same.
        """
        made, failed = 0, []
        for schedule in await self._ready():
            try:
                async with self._database.transaction(SYSTEM) as session:
                    made += await enqueue_due(session, schedule)
            except Exception as error:
                log.warning("schedule.failed", schedule=schedule.name, error=str(error) or type(error).__name__)
                failed.append(f"{schedule.name}: {error}")
        if failed:
            raise RuntimeError("; ".join(failed))
        return made

    async def _ready(self) -> list[Schedule]:
        """Those with something to do: due, without a row, or with one that the code has left behind."""
        async with self._database.transaction(SYSTEM) as session:
            now = await clock(session)
            rows = {row.name: row for row in await session.scalars(select(ScheduleRow))}
        ready = []
        for schedule in self._schedules:
            row = rows.get(schedule.name)
            if row is None or outdated(row, schedule) or (row.paused_at is None and row.next_run_at <= now):
                ready.append(schedule)
        return ready
