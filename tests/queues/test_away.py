"""PostgreSQL goes away under a job: the job keeps its attempts, whatever the driver calls it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asyncpg.exceptions import (
    AdminShutdownError,
    CannotConnectNowError,
    ConnectionDoesNotExistError,
    DiskFullError,
    InternalClientError,
    PostgresError,
)
from sqlalchemy.exc import DBAPIError

from app.core.database import Database
from app.queues import batch, record, runner
from app.queues.enqueue import enqueue
from app.queues.failure import RecordAway
from app.queues.models import JobRow, State
from app.queues.runner import Runner
from tests.queues.conftest import Ledger
from tests.queues.kinds import PLATFORM, Note, Sin


def told(reason: PostgresError) -> DBAPIError:
    """As SQLAlchemy hands it on."""
    return DBAPIError("INSERT", None, reason)


def cut_off() -> DBAPIError:
    reason = RuntimeError("as the dialect calls it")
    reason.__cause__ = InternalClientError("cannot switch to state 12; another operation (2) is in progress")
    error = told(PostgresError("as SQLAlchemy calls it"))
    error.__cause__ = reason
    return error


AWAY = {
    "cut off": cut_off(),
    "refused": ConnectionRefusedError("connection refused"),
    "starting": CannotConnectNowError("the database system is starting up"),
    "closed": ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    "full": told(DiskFullError("no space left on device")),
    "stopping": told(AdminShutdownError("terminating connection due to administrator command")),
}


@pytest.fixture
async def noted(own_database: Database) -> Any:
    async with own_database.transaction(PLATFORM) as session:
        return await enqueue(session, Note(text="kept"))


def fails_once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: Exception) -> None:
    right, told = getattr(owner, name), iter([error])

    async def fail_first(*args: Any) -> Any:
        for one in told:
            raise one
        return await right(*args)

    monkeypatch.setattr(owner, name, fail_first)


@pytest.mark.parametrize("away", AWAY.values(), ids=AWAY)
@pytest.mark.parametrize(("owner", "name"), [(record, "mark_effect"), (batch.Batch, "complete")], ids=("step", "end"))
async def test_a_job_keeps_its_attempts_when_the_record_goes_away_under_it(
    away: Exception,
    owner: Any,
    name: str,
    noted: Any,
    quick_runner: Runner,
    row_of: Callable[..., Awaitable[JobRow]],
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if name == "complete":
        # A handler that leaves the end to the runner, which writes it with others.
        monkeypatch.setattr(record, "complete", lambda *_: _later())
        monkeypatch.setattr("app.queues.work.Work.complete", lambda *_: _later())
    fails_once(monkeypatch, owner, name, away)
    with pytest.raises((RecordAway, type(away))):
        await quick_runner.attempt(noted, 0)
    row = await row_of(noted)
    assert (row.state, row.attempts_made) == (State.ACTIVE, 0)
    await quick_runner.attempt(noted, 0)
    row = await row_of(noted)
    assert (row.state, row.attempts_made) == (State.COMPLETED, 1)
    assert ledger.notes == ["kept"]


async def _later() -> None:
    return None


async def test_a_first_start_that_the_record_missed_costs_neither_result_nor_attempt(
    own_database: Database,
    quick_runner: Runner,
    row_of: Callable[..., Awaitable[JobRow]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with own_database.transaction(PLATFORM) as session:
        job_id = await enqueue(session, Sin(what="nothing"))
    right, missed = batch.Batch._start_first, iter([ConnectionRefusedError("connection refused")])

    async def miss_one(self: batch.Batch, direct: Any, about: Any) -> Any:
        if about and (error := next(missed, None)):
            raise error
        return await right(self, direct, about)

    monkeypatch.setattr(batch.Batch, "_start_first", miss_one)
    with pytest.raises(ConnectionRefusedError):
        await quick_runner.attempt(job_id, 0, first=True)
    assert next(missed, None) is None
    assert (await row_of(job_id)).attempt == 0
    await quick_runner.attempt(job_id, 0)
    row = await row_of(job_id)
    assert (row.state, row.attempts_made, row.result) == (State.COMPLETED, 1, {"done": True})


async def test_a_step_that_breaks_the_database_every_time_is_the_jobs_own_fault_in_the_end(
    noted: Any, quick_runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_it(*_: Any) -> bool:
        raise ConnectionRefusedError("connection refused")

    monkeypatch.setattr(record, "mark_effect", break_it)
    for _ in range(runner.MOST_LOST):
        with pytest.raises(RecordAway):
            await quick_runner.attempt(noted, 0)
    outcome = await quick_runner.attempt(noted, 0)
    assert outcome.failure is not None
    assert outcome.failure.error_class == "RecordAway"
