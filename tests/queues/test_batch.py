"""Starts and ends that are written together keep the promises of those written alone."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from sqlalchemy import select

from app.core.database import SYSTEM, Database
from app.core.ids import new_id
from app.queues.batch import Batch, Claim, _Open
from app.queues.enqueue import enqueue
from app.queues.failure import Superseded
from app.queues.job import Kinds
from app.queues.models import AttemptRow, JobRow, KeyRow, State
from app.queues.runner import Runner
from app.queues.work import Work
from app.queues.worker import WorkerProcess
from tests.queues.conftest import Ledger
from tests.queues.kinds import PLATFORM, QUICK, Note, Sin

Row = Callable[[UUID], Awaitable[JobRow]]
Until = Callable[..., Awaitable[JobRow]]


async def ask(database: Database, job: Note | Sin, **options: object) -> UUID:
    async with database.transaction(PLATFORM) as session:
        return await enqueue(session, job, **options)  # type: ignore[arg-type]


async def attempts_of(database: Database, job_id: UUID) -> list[AttemptRow]:
    async with database.transaction(SYSTEM) as session:
        query = select(AttemptRow).filter_by(job_id=job_id).order_by(AttemptRow.n)
        return list((await session.scalars(query)).all())


@pytest.fixture
def batch(own_database: Database) -> Batch:
    return Batch(own_database, new_id())


async def test_many_short_jobs_each_get_their_row_attempt_and_result(
    worker: WorkerProcess, own_database: Database, until_state: Until
) -> None:
    jobs = [await ask(own_database, Sin(what="nothing"), key=f"k{n}") for n in range(30)]
    for job_id in jobs:
        row = await until_state(job_id, State.COMPLETED)
        assert (row.attempts_made, row.attempt, row.result, row.worker) == (1, 1, {"done": True}, None)
        assert row.duration_ms is not None
        assert row.started_at is not None
        assert row.finished_at is not None
        (attempt,) = await attempts_of(own_database, job_id)
        assert (attempt.n, attempt.error_class, attempt.log) == (1, None, ["nothing to do"])
        assert attempt.ended_at is not None
        assert attempt.started_at <= attempt.ended_at
    async with own_database.transaction(SYSTEM) as session:
        assert (await session.scalars(select(KeyRow))).all() == []


async def test_start_and_end_of_a_short_first_delivery_are_one_write(
    own_database: Database, batch: Batch, row_of: Row
) -> None:
    job_id = await ask(own_database, Sin(what="nothing"))
    written: list[int] = []
    write = batch._write
    claim = await batch._commits.put(_Open(job_id, 0, first=True))
    assert isinstance(claim, Claim)

    async def counted(items: list[object]) -> list[object]:
        written.append(len(items))
        return await write(items)  # type: ignore[arg-type]

    batch._commits._write = counted  # type: ignore[assignment]
    batch.begin(claim)
    assert await batch.complete(claim, None, [])
    assert written == [2]
    assert (await row_of(job_id)).state == State.COMPLETED


async def test_a_long_first_delivery_is_active_while_its_handler_runs(
    own_database: Database, batch: Batch, row_of: Row
) -> None:
    job_id = await ask(own_database, Sin(what="nothing"))
    claim = await batch.open(job_id, 0, first=True)
    assert claim is not None
    await claim.confirm()
    row = await row_of(job_id)
    assert (row.state, row.attempt, row.worker) == (State.ACTIVE, 1, batch._worker)
    assert await batch.complete(claim, {"a": 1}, ["line"])
    (attempt,) = await attempts_of(own_database, job_id)
    assert attempt.log == ["line"]


async def test_a_first_delivery_that_another_worker_overtook_changes_nothing(
    own_database: Database, batch: Batch, row_of: Row
) -> None:
    job_id = await ask(own_database, Sin(what="nothing"))
    # Read as untouched, and then nothing for so long that the job was handed to another worker.
    slow = await batch._commits.put(_Open(job_id, 0, first=True))
    assert isinstance(slow, Claim)
    other = Batch(own_database, new_id())
    current = await other.open(job_id, 0, first=False)
    assert current is not None
    batch.begin(slow)
    with pytest.raises(Superseded):
        await slow.confirm()
    # Both would be attempt 1: the number alone must not be enough.
    assert slow.row.attempt == current.row.attempt
    assert not await batch.complete(slow, {"from": "slow"}, [])
    assert await other.complete(current, {"from": "current"}, [])
    assert (await row_of(job_id)).result == {"from": "current"}
    assert len(await attempts_of(own_database, job_id)) == 1


async def test_of_two_copies_in_one_process_one_completes(own_database: Database, batch: Batch, row_of: Row) -> None:
    job_id = await ask(own_database, Sin(what="nothing"))
    wanted = [batch.open(job_id, 0, first=True), batch.open(job_id, 0, first=True)]
    claims = [claim for claim in await asyncio.gather(*wanted) if claim is not None]
    assert len(claims) == 2
    ends = await asyncio.gather(*(batch.complete(claim, {"n": n}, []) for n, claim in enumerate(claims)))
    assert sorted(ends) == [False, True]
    row = await row_of(job_id)
    assert row.result == {"n": ends.index(True)}
    assert row.attempts_made == 1


async def test_a_redelivery_closes_the_attempt_that_was_lost_and_supersedes_it(
    own_database: Database, batch: Batch, row_of: Row
) -> None:
    job_id = await ask(own_database, Sin(what="nothing"))
    first = await batch.open(job_id, 0, first=True)
    assert first is not None
    await first.confirm()
    second = await Batch(own_database, new_id()).open(job_id, 0, first=False)
    assert second is not None
    assert second.row.attempt == 2
    assert not await batch.complete(first, None, [])
    assert (await row_of(job_id)).state == State.ACTIVE
    lost, under_way = await attempts_of(own_database, job_id)
    assert (lost.error_class, under_way.ended_at) == ("WorkerLost", None)


async def test_a_finished_job_or_another_run_has_nothing_to_open(own_database: Database, batch: Batch) -> None:
    job_id = await ask(own_database, Sin(what="nothing"))
    claim = await batch.open(job_id, 0, first=True)
    assert claim is not None
    assert await batch.complete(claim, None, [])
    for first in (True, False):
        assert await batch.open(job_id, 0, first=first) is None
        assert await batch.open(job_id, 1, first=first) is None
        assert await batch.open(new_id(), 0, first=first) is None


async def test_a_result_that_postgresql_refuses_harms_no_other_job(
    own_database: Database, batch: Batch, row_of: Row
) -> None:
    claims: list[Claim] = []
    for _ in range(3):
        claim = await batch.open(await ask(own_database, Sin(what="nothing")), 0, first=True)
        assert claim is not None
        claims.append(claim)
    results = [{"text": "fine"}, {"text": "\0"}, {"text": "fine"}]
    ends = [batch.complete(claim, result, []) for claim, result in zip(claims, results, strict=True)]
    told = await asyncio.gather(*ends, return_exceptions=True)
    assert (told[0], told[2]) == (True, True)
    assert isinstance(told[1], Exception)
    states = [(await row_of(claim.row.id)).state for claim in claims]
    assert states == [State.COMPLETED, State.ACTIVE, State.COMPLETED]


async def test_a_superseded_attempt_commits_no_step(
    own_database: Database, batch: Batch, kinds: Kinds, ledger: Ledger
) -> None:
    job_id = await ask(own_database, Note(text="twice"))
    slow = await batch._commits.put(_Open(job_id, 0, first=True))
    assert isinstance(slow, Claim)
    assert await Batch(own_database, new_id()).open(job_id, 0, first=False) is not None
    batch.begin(slow)
    work = Work(own_database, slow, {})
    with pytest.raises(Superseded):
        await kinds["note"].handle(work, Note(text="twice"))
    assert ledger.notes == []


async def test_a_job_that_waits_for_its_commit_holds_no_place(
    own_database: Database, quick_runner: Runner, row_of: Row, ledger: Ledger
) -> None:
    job_id = await ask(own_database, Sin(what="nothing"))
    batch = quick_runner._batch
    may_write, given_back = asyncio.Event(), asyncio.Event()
    write = batch._write

    async def held(items: list[object]) -> list[object]:
        if not all(isinstance(item, _Open) for item in items):
            await may_write.wait()
        return await write(items)  # type: ignore[arg-type]

    batch._commits._write = held  # type: ignore[assignment]
    attempt = asyncio.create_task(quick_runner.attempt(job_id, 0, first=True, handled=given_back.set))
    async with asyncio.timeout(10):
        await given_back.wait()
        assert not attempt.done()
        may_write.set()
        assert (await attempt).failure is None
    assert (await row_of(job_id)).state == State.COMPLETED
    assert QUICK.name == (await row_of(job_id)).queue
