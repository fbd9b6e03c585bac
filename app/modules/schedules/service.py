"""The rules of schedules: what people may change about what the code declares. Every act is audited."""

from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from msgspec import UNSET
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Conflict, NotFound
from app.core.etag import Expected, require
from app.core.ids import PLATFORM_TENANT
from app.core.live import signal
from app.core.policy import Actor
from app.core.wire import reason_of
from app.modules.audit.service import record
from app.modules.schedules import repository
from app.modules.schedules.schemas import Plan, Run, ScheduleChange
from app.queues.enqueue import enqueue
from app.queues.models import UNFINISHED, ScheduleRow
from app.queues.schedules import TOPIC, Schedule, clock, declared_in, fields, first_row, key_of, locked, timing_of
from app.queues.timing import Timing

SHOWN_RUNS, SHOWN_UPCOMING = 10, 5
DOUBLE_CLICK = timedelta(seconds=10)
TIMING = ("cron", "every_s", "timezone", "missed")


class ScheduleService:
    """Schedules go by their names. One without code is an orphan: it can be seen and removed, and nothing else."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def all(self) -> list[Plan]:
        """By name, each with its last run."""
        declared = declared_in(self._session)
        rows = {row.name: row for row in await repository.rows(self._session)}
        now = await clock(self._session)
        for name in declared.keys() - rows.keys():
            rows[name] = first_row(declared[name], now)  # no worker has led since it was added
        runs = await repository.runs(self._session, sorted(rows), 1)
        return [Plan(rows[name], declared.get(name), runs[name]) for name in sorted(rows)]

    async def get(self, name: str) -> Plan:
        """
        Raises:
            NotFound: neither the code nor the record knows it. Every method with a name raises it.
        """
        declared = declared_in(self._session).get(name)
        row = await self._session.get(ScheduleRow, name, populate_existing=True)
        if row is None and declared is not None:
            row = first_row(declared, await clock(self._session))
        if row is None:
            raise NotFound(f"There is no schedule {name!r}", code="unknown_schedule")
        runs = await repository.runs(self._session, [name], SHOWN_RUNS)
        return Plan(row, declared, runs[name])

    async def detail(self, name: str) -> tuple[Plan, list[datetime]]:
        """With its next runs; there are none while it is paused or without code."""
        plan = await self.get(name)
        return plan, await self.upcoming(timing_of(plan.row), plan.row.next_run_at) if plan.next_run_at else []

    async def upcoming(self, timing: Timing, since: datetime | None = None) -> list[datetime]:
        """When it would be due next.

        Raises:
            Invalid (`cron`, `everyS`, `timezone`).
        """
        return list(islice(timing.checked().upcoming(await clock(self._session), since), SHOWN_UPCOMING))

    async def change(self, name: str, change: ScheduleChange, *, expected: Expected = None) -> None:
        """Time it otherwise than the code does. What equals the code's is no change of a person's any more.

        Raises:
            Stale; Invalid (`cron`, `everyS`, `timezone`); Conflict (`orphaned`).
        """
        row, declared, now = await self._locked(name)
        require(row.version, expected, "schedule")
        timing = change.timing(timing_of(row)).checked()
        missed = row.missed if change.missed is UNSET else change.missed
        await self._retime("owner.schedule.update", row, declared, timing, missed, now)

    async def reset(self, name: str) -> None:
        """Back to what the code says.

        Raises:
            Conflict (`orphaned`).
        """
        row, declared, now = await self._locked(name)
        await self._retime("owner.schedule.reset", row, declared, declared.timing, declared.missed, now)

    async def pause(self, name: str, reason: str | None = None) -> None:
        """Make no jobs until it is resumed. What would have been due meanwhile is not missed.

        Raises:
            Conflict (`already_paused`, `orphaned`).
        """
        row, _, now = await self._locked(name)
        if row.paused_at is not None:
            raise Conflict(f"The schedule {name} is paused already", code="already_paused")
        reason = reason_of(reason)
        row.paused_at, row.paused_by, row.paused_reason = now, self._actor.label, reason
        row.version += 1
        await self._trace("owner.schedule.pause", row, {"paused": False}, {"paused": True}, reason)

    async def resume(self, name: str, reason: str | None = None) -> None:
        """Go on with the next time from now.

        Raises:
            Conflict (`not_paused`, `orphaned`).
        """
        row, _, now = await self._locked(name)
        if row.paused_at is None:
            raise Conflict(f"The schedule {name} is not paused", code="not_paused")
        row.paused_at = row.paused_by = row.paused_reason = None
        row.next_run_at = timing_of(row).next_after(now)
        row.version += 1
        await self._trace("owner.schedule.resume", row, {"paused": True}, {"paused": False}, reason_of(reason))

    async def run(self, name: str) -> tuple[Run, bool]:
        """Make a job at once, beside those that are due; also while the schedule is paused.

        Asked again within ten seconds, or while the job is unfinished, it is that job: a double click runs once.

        Returns:
            the run, and whether it is new.

        Raises:
            Conflict (`orphaned`).
        """
        row, declared, now = await self._locked(name)
        if row.by_hand_job is not None and row.by_hand_at is not None:
            before = await repository.job(self._session, row.by_hand_job)
            if before and (before.state in UNFINISHED or row.by_hand_at > now - DOUBLE_CLICK):
                return Run(row.by_hand_at, True, before), False
        job_id = await enqueue(self._session, declared.job, key=key_of(name, now, by_hand=True), keep_key=True)
        row.by_hand_at, row.by_hand_job = now, job_id
        await self._trace("owner.schedule.run", row, None, {"job": str(job_id)})
        job = await repository.job(self._session, job_id)
        assert job is not None
        return Run(now, True, job), True

    async def remove(self, name: str) -> None:
        """Take an orphan away. Its jobs stay.

        Raises:
            Conflict (`declared`): the code has it, and would make it anew.
        """
        if name in declared_in(self._session):
            raise Conflict(f"The schedule {name} is declared by the code: pause it instead", code="declared")
        row = await self._orphan(name)
        await self._session.delete(row)
        await self._trace("owner.schedule.remove", row, _timing(row), None)

    async def _locked(self, name: str) -> tuple[ScheduleRow, Schedule, datetime]:
        declared, now = declared_in(self._session).get(name), await clock(self._session)
        if declared is None:
            await self._orphan(name)
            raise Conflict(f"The code has no schedule {name} any more: it can be removed only", code="orphaned")
        return await locked(self._session, declared, now), declared, now

    async def _orphan(self, name: str) -> ScheduleRow:
        row = await self._session.scalar(select(ScheduleRow).filter_by(name=name).with_for_update())
        if row is None:
            raise NotFound(f"There is no schedule {name!r}", code="unknown_schedule")
        return row

    async def _retime(
        self, action: str, row: ScheduleRow, declared: Schedule, timing: Timing, missed: str, now: datetime
    ) -> None:
        before, after = _timing(row), fields(timing, missed)
        if after == before:
            return
        retimed = timing != timing_of(row)
        for field, value in after.items():
            setattr(row, field, value)
        if retimed:
            row.next_run_at = timing.next_after(now)
        as_declared = after == fields(declared.timing, declared.missed)
        row.changed_at, row.changed_by = (None, None) if as_declared else (now, self._actor.label)
        row.version += 1
        await self._trace(action, row, before, after)

    async def _trace(
        self,
        action: str,
        row: ScheduleRow,
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
        reason: str | None = None,
    ) -> None:
        await self._session.flush()
        resource = ("schedule", row.name, row.name)
        await record(self._session, self._actor, action, resource=resource, before=before, after=after, reason=reason)
        signal(self._session, TOPIC, row.name, PLATFORM_TENANT)


def _timing(row: ScheduleRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in TIMING}
