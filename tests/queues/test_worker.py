"""Jobs through a real worker, real Valkey and real PostgreSQL."""

import asyncio
import dataclasses
import itertools
import json
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import select

from app.core.database import SYSTEM, Database
from app.core.ids import new_id
from app.queues import control, counts
from app.queues import worker as worker_module
from app.queues.engine import Engine
from app.queues.enqueue import enqueue
from app.queues.job import Kinds, processor
from app.queues.models import AttemptRow, JobRow, State
from app.queues.runner import Runner
from app.queues.work import Work
from app.queues.worker import WorkerProcess
from tests.queues.conftest import Ledger
from tests.queues.kinds import PLATFORM, QUICK, Fail, Note, Sin

Until = Callable[..., Awaitable[JobRow]]


async def ask(database: Database, job: Note | Fail | Sin) -> UUID:
    async with database.transaction(PLATFORM) as session:
        return await enqueue(session, job)


async def test_a_job_runs_once_and_its_end_commits_with_its_effect(
    worker: WorkerProcess, own_database: Database, until_state: Until, ledger: Ledger
) -> None:
    row = await until_state(await ask(own_database, Note(text="hello")), State.COMPLETED)
    assert ledger.notes == ["hello"]
    assert (row.attempts_made, row.result, row.worker) == (1, {"text": "hello"}, None)


async def test_a_job_that_a_worker_without_its_lock_began_anew_is_not_over_for_redis(
    worker: WorkerProcess, own_database: Database, until_state: Until, ledger: Ledger
) -> None:
    job_id = await ask(own_database, Sin(what="wait"))
    await until_state(job_id, State.ACTIVE)

    @processor(Sin)
    async def fail(work: Work, payload: Sin) -> None:
        raise ValueError("at the second try")

    # It had the job in hand when it stood still; by now the lock is the other worker's, who has begun.
    woken = Runner(own_database, Kinds((fail,), frozenset([QUICK.name])), {QUICK.name: QUICK}, new_id())
    outcome = await woken.attempt(job_id, 0)
    await woken.retry_later(outcome)
    ledger.release.set()  # now the first one ends, which is no more the current one
    row = await until_state(job_id, State.COMPLETED)
    assert (row.attempt, row.attempts_made) == (3, 2)
    assert ledger.notes == ["waits", "released"] * 2, "the attempt that counts was made in full"


@pytest.mark.promise("S4-30", "S4-32")
async def test_a_failing_job_waits_longer_each_time_and_then_is_a_dead_letter(
    worker: WorkerProcess, own_database: Database, engine: Engine, until_state: Until, ledger: Ledger
) -> None:
    job_id = await ask(own_database, Fail(message="boom 17"))
    row = await until_state(job_id, State.DEAD)
    assert (row.attempts_made, row.error_class, row.error_message) == (3, "ValueError", "boom 17")
    assert ledger.dead == ["boom 17"]
    async with own_database.transaction(SYSTEM) as session:
        query = select(AttemptRow).filter_by(job_id=job_id).order_by(AttemptRow.n)
        attempts = (await session.scalars(query)).all()
    assert [attempt.n for attempt in attempts] == [1, 2, 3]
    waits = [(b.started_at - a.ended_at).total_seconds() for a, b in itertools.pairwise(attempts) if a.ended_at]
    assert waits[0] >= 0.04
    assert waits[1] >= 0.09
    letter = json.loads(await engine.field(row, "data", dead=True) or "{}")
    assert letter["originalJobId"] == str(job_id)
    assert (letter["originalQueue"], letter["lastError"], letter["attempts"]) == (QUICK.name, "boom 17", 3)
    assert isinstance(letter["failedAt"], int)
    assert await engine.places([row]) == ["dead"]


async def test_the_secret_in_a_job_log_or_error_is_hidden(
    worker: WorkerProcess, own_database: Database, until_state: Until
) -> None:
    job_id = await ask(own_database, Fail(message="cannot reach redis://u:hunter2@cache:6379"))
    row = await until_state(job_id, State.DEAD)
    async with own_database.transaction(SYSTEM) as session:
        attempts = (await session.scalars(select(AttemptRow).filter_by(job_id=job_id))).all()
    told = str([(a.error_message, a.stack, a.log) for a in attempts]) + str(row.error_message)
    assert "hunter2" not in told
    assert "redis://u:***@cache" in told


@pytest.mark.trap(10, 21)
@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nan", "Out of range float values are not JSON compliant"),
        ("nul", "unsupported Unicode escape sequence"),
        ("exit", "the handler raised SystemExit"),
        ("cancel", "the handler was cancelled from within"),
        ("recursion", "maximum recursion depth exceeded"),
        ("silent", "TimeoutError"),
        ("hang", "the job took longer than 1 s"),
        ("nul error", "a\N{SYMBOL FOR NULL}b"),
        ("surrogate error", "a?b"),
        ("mute error", "Mute"),
        ("nul line", "after a line"),
        ("generator exit", "the handler raised GeneratorExit"),
        ("panic", "the handler raised Panic"),
        ("unmourned", "it went wrong (and what was to follow failed: nobody\N{SYMBOL FOR NULL}mourns)"),
    ],
)
async def test_the_worker_survives_what_a_handler_does_and_says_why_it_failed(
    worker: WorkerProcess, own_database: Database, until_state: Until, ledger: Ledger, what: str, message: str
) -> None:
    row = await until_state(await ask(own_database, Sin(what=what)), State.DEAD)
    assert message in (row.error_message or "")
    await until_state(await ask(own_database, Note(text="still here")), State.COMPLETED)


@pytest.mark.trap(12)
@pytest.mark.promise("S4-31")
async def test_replaying_a_dead_letter_is_a_new_run_of_the_same_job(
    worker: WorkerProcess, own_database: Database, engine: Engine, until_state: Until, ledger: Ledger
) -> None:
    job_id = await ask(own_database, Fail(message="again"))
    row = await until_state(job_id, State.DEAD)
    async with own_database.transaction(PLATFORM) as session:
        found = await session.get(JobRow, job_id)
        assert found is not None
        await control.replay(session, found)
    await until_state(job_id, State.QUEUED, State.ACTIVE, State.RETRYING)
    again = await until_state(job_id, State.DEAD)
    assert (again.run, again.attempts_made) == (1, 3)
    assert len(ledger.dead) == 2
    assert await engine.places([row, again]) == ["unknown", "dead"]


async def test_a_double_click_on_replay_is_one_run(
    own_database: Database, quick_runner: object, ledger: Ledger
) -> None:
    job_id = await ask(own_database, Fail(message="x"))
    async with own_database.transaction(PLATFORM) as session:
        row = await session.get(JobRow, job_id)
        assert row is not None
        row.state = State.DEAD

    async def click() -> bool:
        try:
            async with own_database.transaction(PLATFORM) as session:
                found = await session.get(JobRow, job_id)
                assert found is not None
                await control.replay(session, found)
        except control.Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(click() for _ in range(8)))) == 1


@pytest.mark.promise("S4-40")
async def test_a_paused_queue_starts_nothing_and_accepts_everything(
    worker: WorkerProcess, own_database: Database, until_state: Until, ledger: Ledger
) -> None:
    await until_state(await ask(own_database, Note(text="before")), State.COMPLETED)
    async with own_database.transaction(PLATFORM) as session:
        await control.pause(session, QUICK.name, by="owner", reason="repair")
    job_id = await ask(own_database, Note(text="held"))
    await until_state(job_id, State.QUEUED)
    async with own_database.transaction(PLATFORM) as session:
        seen = next(item for item in await counts.overview(session) if item.name == QUICK.name)
        assert (seen.paused_by, seen.paused_reason, seen.waiting) == ("owner", "repair", 1)
        await control.resume(session, QUICK.name)
    await until_state(job_id, State.COMPLETED)
    assert ledger.notes == ["before", "held"]


@pytest.mark.trap(25)
async def test_an_emptied_redis_is_filled_from_the_record_and_stays_paused(
    worker: WorkerProcess, own_database: Database, engine: Engine, until_state: Until, ledger: Ledger
) -> None:
    await until_state(await ask(own_database, Note(text="first")), State.COMPLETED)
    async with own_database.transaction(PLATFORM) as session:
        await control.pause(session, QUICK.name, by="owner", reason=None)
    jobs = [await ask(own_database, Note(text=str(n))) for n in range(5)]
    for job_id in jobs:
        await until_state(job_id, State.QUEUED)
    await engine.client.flushall()
    async with asyncio.timeout(15):
        while (await engine.counts([QUICK.name]))[QUICK.name].waiting < 5:
            await asyncio.sleep(0.05)
    assert (await engine.paused())[QUICK.name]
    async with own_database.transaction(PLATFORM) as session:
        await control.resume(session, QUICK.name)
    for job_id in jobs:
        await until_state(job_id, State.COMPLETED)
    assert sorted(ledger.notes) == ["0", "1", "2", "3", "4", "first"]


async def test_an_active_job_cannot_be_removed_and_a_waiting_one_leaves_redis(
    own_database: Database, engine: Engine, until_state: Until
) -> None:
    job_id = await ask(own_database, Note(text="x"))
    row = await until_state(job_id, State.QUEUED)
    async with own_database.transaction(PLATFORM) as session:
        await control.remove(session, row)
    assert (await until_state(job_id, State.REMOVED)).finished_at is not None
    assert await engine.places([row]) == ["unknown"]
    active = await ask(own_database, Note(text="y"))
    async with own_database.transaction(PLATFORM) as session:
        found = await session.get(JobRow, active)
        assert found is not None
        found.state = State.ACTIVE
    with pytest.raises(control.Conflict, match="active"):
        async with own_database.transaction(PLATFORM) as session:
            found = await session.get(JobRow, active)
            assert found is not None
            await control.remove(session, found)


async def test_removing_a_job_that_was_still_to_run_tells_its_processor(
    own_database: Database, until_state: Until, ledger: Ledger
) -> None:
    row = await until_state(await ask(own_database, Fail(message="never ran")), State.QUEUED)
    async with own_database.transaction(PLATFORM) as session:
        found = await session.get(JobRow, row.id)
        assert found is not None
        await control.remove(session, found)
    assert ledger.dead == ["the job was removed"]


@pytest.mark.trap(8)
async def test_a_worker_that_stops_hands_long_jobs_back_with_all_their_attempts(
    own_database: Database,
    engine: Engine,
    kinds: Kinds,
    worker_redis: Redis,
    until_state: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_module, "STOP_S", 0.1)
    patient = dataclasses.replace(QUICK, timeout_s=60)
    runner = Runner(own_database, kinds, {QUICK.name: patient}, new_id())
    process = WorkerProcess(own_database, engine, runner, [patient], concurrency=5, client=worker_redis)
    stop = asyncio.Event()
    task = asyncio.create_task(process.run(stop))
    job_id = await ask(own_database, Sin(what="hang"))
    await until_state(job_id, State.ACTIVE)
    stop.set()
    await asyncio.wait_for(task, 10)
    row = await until_state(job_id, State.QUEUED)
    assert (row.attempts_made, row.attempt, row.worker) == (0, 1, None)
    assert await engine.places([row]) == ["delayed"], "by no time, so that the next worker takes it"
