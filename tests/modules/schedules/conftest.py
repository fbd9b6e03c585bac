"""A schedule as the leading worker has left it, and one whose code is gone."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text, update

from app import registry
from app.core.database import SYSTEM, Database
from app.queues.models import ScheduleRow
from app.queues.schedules import Scheduler

Change = Callable[..., Awaitable[None]]


@pytest.fixture
def lead(database: Database) -> Callable[[], Awaitable[int]]:
    """A round of the leading worker over the declared schedules; returns how many jobs it made."""
    return Scheduler(database, tuple(registry.schedules().values())).enqueue_due


@pytest.fixture
def alter(database: Database) -> Change:
    """Write to the row of `purge-expired`, past every rule."""

    async def alter(**values: Any) -> None:
        async with database.transaction(SYSTEM) as session:
            await session.execute(update(ScheduleRow).filter_by(name="purge-expired").values(values))

    return alter


@pytest.fixture
async def orphan(database: Database) -> str:
    async with database.transaction(SYSTEM) as session:
        await session.execute(
            text(
                "INSERT INTO schedule (name, queue, kind, every_s, next_run_at) "
                "VALUES ('old-report', 'platform:tasks', 'old_report', 3600, now() - interval '1 day')"
            )
        )
    return "old-report"
