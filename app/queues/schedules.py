"""Schedules are rows: the leading worker inserts each due job under the key (schedule, due time)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import croniter
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.queues.enqueue import enqueue
from app.queues.job import Job
from app.queues.models import ScheduleRow


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job that runs by the clock: `cron` has five fields, read in `timezone`."""

    name: str
    cron: str
    job: Job
    timezone: str = "UTC"

    def next_after(self, moment: datetime) -> datetime:
        local = moment.astimezone(ZoneInfo(self.timezone))
        due: datetime = croniter(self.cron, local).get_next(datetime)
        return due.astimezone(UTC)


async def enqueue_due(session: AsyncSession, schedules: tuple[Schedule, ...]) -> int:
    """Enqueue every schedule that is due, in the caller's transaction; returns how many.

    However long nothing ran, a missed schedule runs once. A schedule that is new gets its row and waits.
    """
    now = datetime.now(UTC)
    due = 0
    for schedule in schedules:
        row = await session.scalar(select(ScheduleRow).filter_by(name=schedule.name).with_for_update())
        if row is None:
            values = {"name": schedule.name, "next_run_at": schedule.next_after(now)}
            await session.execute(insert(ScheduleRow).values(**values).on_conflict_do_nothing())
        elif row.next_run_at <= now:
            key = f"schedule:{schedule.name}:{row.next_run_at.isoformat()}"
            await enqueue(session, schedule.job, key=key, keep_key=True)
            row.last_run_at, row.next_run_at = now, schedule.next_after(now)
            due += 1
    return due
