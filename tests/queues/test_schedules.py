"""The leader makes each due job, once, by PostgreSQL's clock."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update

from app import registry
from app.core.database import SYSTEM, Database
from app.modules.identity.module import identity
from app.queues import schedules
from app.queues.models import JobRow, KeyRow, ScheduleRow, State
from app.queues.schedules import Missed, Schedule, Scheduler
from app.queues.timing import Timing
from tests.queues.kinds import Fail, Note

HOURLY = Schedule("hourly", Timing(cron="0 * * * *"), Note(text="tick"))
Until = Callable[..., Awaitable[JobRow]]


async def look(database: Database, *declared: Schedule) -> int:
    return await Scheduler(database, declared or (HOURLY,)).enqueue_due()


async def row(database: Database, name: str = "hourly") -> ScheduleRow:
    async with database.transaction(SYSTEM) as session:
        found = await session.get(ScheduleRow, name)
        assert found is not None
        return found


async def change(database: Database, **values: Any) -> None:
    async with database.transaction(SYSTEM) as session:
        await session.execute(update(ScheduleRow).values(values))


async def jobs(database: Database) -> list[UUID]:
    async with database.transaction(SYSTEM) as session:
        return list(await session.scalars(select(JobRow.id).order_by(JobRow.id)))


async def test_a_new_schedule_waits_for_its_first_time(own_database: Database) -> None:
    assert await look(own_database) == 0
    made = await row(own_database)
    assert (made.queue, made.kind, made.cron, made.timezone) == ("test:quick", "note", "0 * * * *", "UTC")
    assert datetime.now(UTC) < made.next_run_at <= datetime.now(UTC) + timedelta(hours=1)


@pytest.mark.promise("S2-52")
async def test_a_schedule_that_is_due_for_days_makes_one_job_however_many_look(own_database: Database) -> None:
    await look(own_database)
    await change(own_database, next_run_at=text("now() - interval '3 days'"))
    assert sum(await asyncio.gather(*(look(own_database) for _ in range(4)))) == 1
    assert len(await jobs(own_database)) == 1
    after = await row(own_database)
    assert after.last_run_at is not None
    assert datetime.now(UTC) < after.next_run_at <= datetime.now(UTC) + timedelta(hours=1)


async def test_two_leaders_that_see_the_same_time_make_one_job(own_database: Database) -> None:
    """Both have the row before either has written: only the lock and the key can keep them apart."""
    await look(own_database)
    await change(own_database, next_run_at=text("now() - interval '1 minute'"))
    both_inside = asyncio.Barrier(2)

    async def lead() -> int:
        async with own_database.transaction(SYSTEM) as session:
            await session.execute(text("SELECT next_run_at FROM schedule"))
            await both_inside.wait()
            return await schedules.enqueue_due(session, HOURLY)

    assert sum(await asyncio.gather(lead(), lead())) == 1
    assert len(await jobs(own_database)) == 1


async def test_a_time_that_had_its_job_gets_no_second_one(own_database: Database, until_state: Until) -> None:
    """Were the row ever wrong, after a restored backup say: the key stays taken when the job has ended."""
    due = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=30)
    await look(own_database)
    await change(own_database, next_run_at=due)
    await look(own_database)
    (first,) = await jobs(own_database)
    async with own_database.transaction(SYSTEM) as session:
        await session.execute(update(JobRow).values(state=State.COMPLETED, finished_at=func.now()))
    await change(own_database, next_run_at=due)
    await look(own_database)
    assert await jobs(own_database) == [first]


class Ahead(datetime):
    """A process's clock that is two hours ahead."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(tz) + timedelta(hours=2)


class Behind(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(tz) - timedelta(hours=2)


async def test_a_worker_whose_clock_is_ahead_runs_nothing_early(
    own_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "datetime", Ahead)
    await look(own_database)
    soon = datetime.now(UTC) + timedelta(minutes=5)
    await change(own_database, next_run_at=soon)
    assert await look(own_database) == 0
    assert (await row(own_database)).next_run_at == soon


async def test_a_worker_whose_clock_is_behind_runs_what_is_due_at_once(
    own_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "datetime", Behind)
    await look(own_database)
    await change(own_database, next_run_at=text("now() - interval '5 minutes'"))
    assert await look(own_database) == 1
    async with own_database.transaction(SYSTEM) as session:
        assert (await session.scalars(select(JobRow).where(JobRow.run_at > func.now()))).all() == []


@pytest.mark.parametrize(("missed", "expected"), [("once", 1), ("skip", 0), ("all", 4)])
async def test_missed_runs_are_made_up_for_as_the_schedule_says(
    own_database: Database, missed: Missed, expected: int
) -> None:
    schedule = replace(HOURLY, timing=Timing(every_s=3600), missed=missed)
    await look(own_database, schedule)
    await change(own_database, next_run_at=text("now() - interval '3 hours 30 minutes'"))
    assert await look(own_database, schedule) == expected
    assert len(await jobs(own_database)) == expected
    async with own_database.transaction(SYSTEM) as session:
        keys = list(await session.scalars(select(KeyRow.key).order_by(KeyRow.key)))
    assert len({key.removeprefix("schedule:hourly:") for key in keys}) == expected
    wait = (await row(own_database)).next_run_at - datetime.now(UTC)
    assert timedelta(minutes=29) < wait <= timedelta(minutes=30)


async def test_a_run_that_is_only_a_moment_late_was_not_missed(own_database: Database) -> None:
    schedule = replace(HOURLY, timing=Timing(every_s=3600), missed="skip")
    await look(own_database, schedule)
    await change(own_database, next_run_at=text("now() - interval '3 hours 20 seconds'"))
    assert await look(own_database, schedule) == 1


async def test_making_up_for_all_runs_has_an_end(own_database: Database) -> None:
    schedule = replace(HOURLY, timing=Timing(every_s=60), missed="all")
    await look(own_database, schedule)
    await change(own_database, next_run_at=text("now() - interval '1 day'"))
    assert await look(own_database, schedule) == schedules.MOST_MISSED
    assert await look(own_database, schedule) == 0


async def test_a_paused_schedule_makes_no_job(own_database: Database) -> None:
    await look(own_database)
    await change(own_database, next_run_at=text("now() - interval '1 hour'"), paused_at=func.now())
    assert await look(own_database) == 0


async def test_a_row_follows_the_code_until_a_person_changes_it(own_database: Database) -> None:
    nightly = replace(HOURLY, timing=Timing(cron="0 3 * * *", timezone="Europe/Berlin"), missed="skip")
    await look(own_database)
    await look(own_database, nightly)
    after = await row(own_database)
    assert (after.cron, after.timezone, after.missed) == ("0 3 * * *", "Europe/Berlin", "skip")
    assert after.next_run_at == nightly.timing.next_after(datetime.now(UTC))
    await change(own_database, changed_at=func.now(), cron="0 4 * * *")
    await look(own_database, HOURLY)
    assert (await row(own_database)).cron == "0 4 * * *"


async def test_a_row_of_an_older_version_keeps_the_time_it_waits_for(own_database: Database) -> None:
    async with own_database.transaction(SYSTEM) as session:
        await session.execute(
            text("INSERT INTO schedule (name, next_run_at) VALUES ('hourly', now() - interval '1 minute')")
        )
    assert await look(own_database) == 1
    assert (await row(own_database)).cron == "0 * * * *"


async def test_a_schedule_whose_code_is_gone_does_not_run(own_database: Database) -> None:
    await look(own_database)
    await change(own_database, next_run_at=text("now() - interval '1 hour'"))
    assert await Scheduler(own_database, ()).enqueue_due() == 0
    assert await jobs(own_database) == []


async def test_one_schedule_that_fails_holds_up_no_other(own_database: Database) -> None:
    class Lost(Fail, kind="lost", queue="test:gone"):
        pass

    gone = Schedule("gone", Timing(every_s=60), Lost(message="x"))
    await look(own_database, gone, HOURLY)
    await change(own_database, next_run_at=text("now() - interval '1 minute'"))
    with pytest.raises(RuntimeError, match="gone: 'test:gone'"):
        await look(own_database, gone, HOURLY)
    assert len(await jobs(own_database)) == 1


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (replace(HOURLY, name="purge-expired"), "'purge-expired' is declared twice"),
        (replace(HOURLY, name="Every Hour"), "'Every Hour' cannot be: name"),
        (replace(HOURLY, timing=Timing(cron="soon")), "'hourly' cannot be: cron"),
    ],
)
def test_a_declaration_that_cannot_be_stops_the_boot(
    schedule: Schedule, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = replace(identity, schedules=(*identity.schedules, schedule))
    monkeypatch.setattr(registry, "MODULES", (module,))
    with pytest.raises(RuntimeError, match=said):
        registry.schedules()
