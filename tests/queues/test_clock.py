"""The clock of a host that is wrong, and the one that all processes share."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from litestar import Litestar
from redis.asyncio import Redis

from app.core import ids
from app.core.database import Database
from app.core.settings import Settings
from app.main import create_app
from app.queues.clock import CORRECT_ABOVE_S, Clock
from app.queues.clock import clock as shared
from app.queues.engine import Engine
from app.queues.enqueue import enqueue
from app.queues.models import JobRow
from tests.queues.kinds import PLATFORM, QUICK, Note

RowOf = Callable[[UUID], Awaitable[JobRow]]

TWO_HOURS_S = 7200


@pytest.mark.trap(23)
@pytest.mark.parametrize("ahead_s", [TWO_HOURS_S, -TWO_HOURS_S])
async def test_a_clock_that_is_hours_off_goes_by_redis(
    ahead_s: int, worker_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + ahead_s)
    clock = Clock()
    assert abs(await clock.measure(worker_redis) + ahead_s) < 60
    assert abs(clock.now() - right()) < 60


async def test_a_small_difference_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Agreeing:
        async def time(self) -> tuple[int, int]:
            return int(now), round(now % 1 * 1e6)

    now = time.time() + CORRECT_ABOVE_S / 2
    monkeypatch.setattr(time, "time", lambda: now - CORRECT_ABOVE_S / 2)
    clock = Clock()
    assert 0 < await clock.measure(Agreeing()) < CORRECT_ABOVE_S  # type: ignore[arg-type]
    assert clock.offset_s == 0


@pytest.mark.trap(23)
@pytest.mark.parametrize("ahead_s", [TWO_HOURS_S, -TWO_HOURS_S])
async def test_a_web_process_whose_clock_is_wrong_asks_what_time_it_is(
    ahead_s: int, running_app: Litestar, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = time.time
    monkeypatch.setattr(shared, "offset_s", 0.0)
    monkeypatch.setattr(ids, "_offset_s", 0.0)
    monkeypatch.setattr(time, "time", lambda: right() + ahead_s)
    async with create_app(settings).lifespan():
        assert abs(shared.now() - right()) < 60, "PostgreSQL has told"
        shared.offset_s = 0.0
        async with asyncio.timeout(10):
            while abs(shared.now() - right()) > 60:  # Redis tells
                await asyncio.sleep(0.01)


@pytest.mark.trap(23)
@pytest.mark.parametrize("ahead_s", [TWO_HOURS_S, -TWO_HOURS_S])
async def test_what_a_host_with_a_wrong_clock_asks_for_is_due_by_the_shared_one(
    ahead_s: int, own_database: Database, row_of: RowOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + ahead_s)
    monkeypatch.setattr(shared, "offset_s", -ahead_s)
    async with own_database.transaction(PLATFORM) as session:
        now = await enqueue(session, Note(text="now"))
        later = await enqueue(session, Note(text="later"), delay=timedelta(hours=1))
    at_once, delayed = await row_of(now), await row_of(later)
    assert abs(at_once.run_at.timestamp() - right()) < 60
    assert (at_once.delayed, delayed.delayed) == (False, True)
    assert abs(delayed.run_at.timestamp() - right() - 3600) < 60


async def test_what_a_host_with_a_wrong_clock_pushes_is_due_when_it_should_be(
    own_database: Database, engine: Engine, row_of: RowOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)
    async with own_database.transaction(PLATFORM) as session:
        job_id = await enqueue(session, Note(text="later"), run_at=due)
    row = await row_of(job_id)
    await engine.forget(row.queue, row.engine_id)
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + TWO_HOURS_S)
    monkeypatch.setattr(shared, "offset_s", -TWO_HOURS_S)
    await engine.push([row])
    score = await engine.client.zscore(engine.key(QUICK.engine_name, "delayed"), row.engine_id)
    # BullMQ keeps milliseconds and a number in twelve bits below them.
    assert abs(float(score or 0) / 4096 - due.timestamp() * 1000) < 60_000
