"""Months of the record go when their time is over, as the tables' own login, which is no superuser."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.database import SYSTEM, Database, Plane, Scope
from app.core.ids import PLATFORM_TENANT, floor_id
from app.core.settings import Settings
from app.queues.models import State
from app.queues.retention import Held, Retention

LONG_AGO, LATER = date(2020, 1, 1), date(2020, 2, 1)
MONTHS_KEPT = 12
BESIDE = ("ai_event_log",)
MADE = """
DO $$ DECLARE parent text; month timestamptz; BEGIN
    FOREACH parent IN ARRAY ARRAY['job', 'job_attempt', 'job_effect', 'ai_event_log'] LOOP
        FOREACH month IN ARRAY ARRAY['2020-01-01', '2020-02-01']::timestamptz[] LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                           parent || '_' || to_char(month, 'YYYY_MM'), parent,
                           teknav_floor_id(month), teknav_floor_id(month + interval '1 month'));
        END LOOP;
    END LOOP;
END $$
"""
THERE = "SELECT relname::text FROM pg_class WHERE relispartition AND relname ~ '_2020_0[12]$' AND relkind = 'r'"
OldJob = Callable[..., Awaitable[UUID]]


@pytest.fixture
async def months(own_database: Database, settings: Settings, admin: asyncpg.Connection) -> AsyncGenerator[None, None]:
    """Two months of 2020, made by the login that owns the tables; what a test leaves of them goes afterwards."""
    owner = await asyncpg.connect(settings.migration_database_url)
    try:
        assert not await owner.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        await owner.execute(f"SET timezone = 'UTC'; {MADE}")
        yield
        for row in await admin.fetch(THERE):
            await owner.execute(f'DROP TABLE "{row["relname"]}"')
    finally:
        await owner.close()


@pytest.fixture
def old_job(admin: asyncpg.Connection, months: None) -> OldJob:
    """A job of that day, with an attempt, an effect, and a key that outlives it."""
    made = iter(range(1, 1000))

    async def make(state: State, day: date = LONG_AGO, *, parent: UUID | None = None) -> UUID:
        moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        job = UUID(int=floor_id(moment).int + next(made))
        ended = moment if state in (State.COMPLETED, State.DEAD, State.CANCELLED, State.REMOVED) else None
        await admin.execute(
            "INSERT INTO job (id, tenant_id, queue, kind, payload, state, max_attempts, finished_at, parent_id) "
            "VALUES ($1, $2, 'test:quick', 'note', '{}', $3, 3, $4, $5)",
            *(job, PLATFORM_TENANT, state, ended, parent),
        )
        await admin.execute("INSERT INTO job_attempt VALUES ($1, 0, 1, $2, $1)", job, PLATFORM_TENANT)
        await admin.execute("INSERT INTO job_effect VALUES ($1, 'note', $2)", job, PLATFORM_TENANT)
        await admin.execute(
            "INSERT INTO job_key VALUES ($1, 'test:quick', $2, $3, true)", PLATFORM_TENANT, str(job), job
        )
        return job

    return make


async def left(admin: asyncpg.Connection) -> set[str]:
    return {row["relname"] for row in await admin.fetch(THERE)}


async def rows_left(admin: asyncpg.Connection) -> dict[str, set[UUID]]:
    tables = {"job": "id", "job_attempt": "job_id", "job_effect": "job_id", "job_key": "job_id"}
    return {
        name: {row[0] for row in await admin.fetch(f"SELECT {column} FROM {name}")} for name, column in tables.items()
    }


async def test_a_month_goes_with_all_its_tables_and_the_keys_that_had_outlived_their_jobs(
    own_database: Database, admin: asyncpg.Connection, old_job: OldJob
) -> None:
    for state in (State.COMPLETED, State.CANCELLED, State.REMOVED):
        await old_job(state)
    await Retention(own_database, MONTHS_KEPT, BESIDE).run()
    assert await left(admin) == set()
    assert await rows_left(admin) == {"job": set(), "job_attempt": set(), "job_effect": set(), "job_key": set()}


@pytest.mark.parametrize(
    ("state", "told"),
    [(State.DEAD, "0 unfinished, 1 dead"), (State.RETRYING, "1 unfinished, 0 dead"), (State.WAITING_CHILDREN, "1 un")],
)
async def test_what_is_unfinished_or_dead_holds_its_month_and_only_that(
    own_database: Database, admin: asyncpg.Connection, old_job: OldJob, state: State, told: str
) -> None:
    kept = await old_job(state)
    for day in (LONG_AGO, LATER):
        await old_job(State.COMPLETED, day)
    with pytest.raises(Held, match=f"2020-01 \\({told}"):
        await Retention(own_database, MONTHS_KEPT, BESIDE).run()
    assert await left(admin) == {"job_2020_01", "job_attempt_2020_01", "job_effect_2020_01", "ai_event_log_2020_01"}
    assert await rows_left(admin) == {name: {kept} for name in ("job", "job_attempt", "job_effect", "job_key")}
    await admin.execute("UPDATE job SET state = 'completed', finished_at = now()")
    await Retention(own_database, MONTHS_KEPT, BESIDE).run()
    assert await left(admin) == set()


async def test_the_results_that_a_dead_parent_may_need_again_stay(
    own_database: Database, admin: asyncpg.Connection, old_job: OldJob
) -> None:
    parent = await old_job(State.DEAD, LATER)
    child = await old_job(State.COMPLETED, date(2020, 1, 31), parent=parent)
    with pytest.raises(Held):
        await Retention(own_database, MONTHS_KEPT, BESIDE).run()
    assert (await rows_left(admin))["job"] == {parent, child}


async def test_a_removed_job_in_the_trash_can_still_come_back(
    own_database: Database, admin: asyncpg.Connection, old_job: OldJob
) -> None:
    job = await old_job(State.REMOVED)
    await admin.execute("UPDATE job SET removed_at = now()")
    with pytest.raises(Held):
        await Retention(own_database, MONTHS_KEPT, BESIDE).run()
    assert (await rows_left(admin))["job"] == {job}


async def test_nothing_goes_where_jobs_are_kept_for_ever(
    own_database: Database, admin: asyncpg.Connection, old_job: OldJob
) -> None:
    await old_job(State.COMPLETED)
    before = await left(admin)
    await Retention(own_database, 0, BESIDE).run()
    assert await left(admin) == before


@pytest.mark.parametrize("back", [0, 1])
async def test_a_young_month_is_refused_whoever_asks(own_database: Database, back: int) -> None:
    month = datetime.now(UTC).date().replace(day=1)
    for _ in range(back):
        month = (month - timedelta(days=1)).replace(day=1)
    with pytest.raises(DBAPIError, match="too young"):
        async with own_database.transaction(SYSTEM) as session:
            await session.execute(text("SELECT teknav_drop_month(:month)"), {"month": month})


async def test_only_the_system_may_drop_a_month(own_database: Database) -> None:
    for plane in (Plane.TENANT, Plane.PLATFORM):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with own_database.transaction(Scope(plane)) as session:
                await session.execute(text("SELECT teknav_drop_month('2020-01-01')"))


async def test_a_month_that_somebody_reads_is_not_waited_for_long(
    own_database: Database, admin: asyncpg.Connection, old_job: OldJob, settings: Settings, monkeypatch: Any
) -> None:
    monkeypatch.setattr("app.queues.retention.TRIES", 1)
    await old_job(State.COMPLETED)
    async with admin.transaction():
        await admin.execute("LOCK TABLE job IN ACCESS SHARE MODE")
        with pytest.raises(DBAPIError, match="lock timeout"):
            await Retention(own_database, MONTHS_KEPT, BESIDE).run()
    await Retention(own_database, MONTHS_KEPT, BESIDE).run()
    assert await left(admin) == set()
