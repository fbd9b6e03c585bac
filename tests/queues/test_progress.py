"""Progress and log lines of a job, as people see them while it runs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.core.database import SYSTEM, Database
from app.core.ids import new_id
from app.queues import progress
from app.queues.batch import Batch
from app.queues.enqueue import enqueue
from app.queues.models import AttemptRow, JobRow, State
from app.queues.progress import Teller
from app.queues.work import Work
from tests.queues.kinds import PLATFORM, Note

RowOf = Callable[[UUID], Awaitable[JobRow]]


@pytest.fixture
async def work(own_database: Database) -> Work:
    """An attempt under way."""
    async with own_database.transaction(PLATFORM) as session:
        job_id = await enqueue(session, Note(text="x"))
    claim = await Batch(own_database, new_id()).open(job_id, 0, first=False)
    assert claim is not None
    return Work(own_database, claim, {})


async def log_of(database: Database, job_id: UUID) -> list[str]:
    async with database.transaction(SYSTEM) as session:
        return (await session.scalars(select(AttemptRow.log).filter_by(job_id=job_id))).one()


async def test_progress_and_the_lines_logged_so_far_are_seen_while_the_job_runs(
    work: Work, own_database: Database, row_of: RowOf
) -> None:
    work.log("page 3 is done")
    await work.progress(40, "page 4 of 10, from redis://u:hunter2@cache")
    row = await row_of(work.job_id)
    assert (row.state, row.progress) == (State.ACTIVE, 40)
    assert row.progress_note == "page 4 of 10, from redis://u:***@cache"
    assert await log_of(own_database, work.job_id) == ["page 3 is done"]


async def test_text_that_no_database_takes_is_told_without_what_it_does_not_take(
    work: Work, own_database: Database, row_of: RowOf
) -> None:
    work.log("a\0b\ud800" + "c" * 3000)
    await work.progress(40, "page\0\udfff")
    assert (await row_of(work.job_id)).progress_note == "page\N{SYMBOL FOR NULL}?"
    assert await log_of(own_database, work.job_id) == ["a\N{SYMBOL FOR NULL}b?" + "c" * 1996]


@pytest.mark.parametrize(("told", "kept"), [(-5, 0), (101, 100), (33.4, 33)])
async def test_progress_is_a_percentage(work: Work, row_of: RowOf, told: float, kept: int) -> None:
    await work.progress(told)
    row = await row_of(work.job_id)
    assert (row.progress, row.progress_note) == (kept, None)


async def test_who_does_not_know_how_much_is_left_tells_it_in_words_alone(work: Work, row_of: RowOf) -> None:
    await work.progress(None, "7 days")
    row = await row_of(work.job_id)
    assert (row.progress, row.progress_note) == (None, "7 days")


async def test_a_chatty_job_writes_the_first_and_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PAUSE_S", 0.05)
    told: list[Any] = []
    ended = asyncio.Event()

    async def tell(what: Any) -> None:
        told.append(what)
        if what[0] == 100:
            ended.set()

    teller = Teller(tell)
    for n in range(101):
        await teller.say((n, None))
    await asyncio.wait_for(ended.wait(), 5)
    assert told == [(0, None), (100, None)]


async def test_progress_that_cannot_be_written_does_not_fail_the_job() -> None:
    async def tell(_: Any) -> None:
        raise OSError("no database")

    await Teller(tell).say((1, None))


async def test_progress_of_an_attempt_that_is_over_changes_nothing(
    work: Work, own_database: Database, row_of: RowOf
) -> None:
    async with own_database.transaction(SYSTEM) as session:
        await session.execute(update(JobRow).values(attempt=2))
    await work.progress(50)
    assert (await row_of(work.job_id)).progress is None


async def test_telling_progress_after_completing_does_not_wait_for_the_own_transaction(
    work: Work, row_of: RowOf
) -> None:
    await work.progress(10)
    async with asyncio.timeout(5), work.transaction("end") as session:
        assert session is not None
        await work.complete(session, {"pages": 10})
        await work.progress(90)
    row = await row_of(work.job_id)
    assert (row.state, row.progress, row.result) == (State.COMPLETED, 100, {"pages": 10})
