"""What the leading worker does for all: lease, relay, reconciler."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database
from app.core.ids import new_id
from app.queues import engine as engine_module
from app.queues import record, relay
from app.queues.clock import clock
from app.queues.engine import Engine
from app.queues.enqueue import enqueue
from app.queues.leader import Leader
from app.queues.loops import Loop, Loops
from app.queues.models import AnyJob, JobRow, LeaseRow, State, WorkerRow
from app.queues.relay import Reconciler, Relay
from app.queues.runner import Runner
from app.queues.tidy import Tidier
from app.queues.worker import WorkerProcess
from app.redis.connection import hasty, patient
from tests.queues.conftest import Ledger
from tests.queues.kinds import PLATFORM, QUICK, Note

LONG_AGO = text("now() - interval '1 minute'")


async def test_one_leads_and_another_takes_over_when_the_lease_runs_out(own_database: Database) -> None:
    first, second = Leader(own_database, new_id()), Leader(own_database, new_id())
    assert await first.lead()
    assert await first.lead()
    assert not await second.lead()
    async with own_database.transaction(SYSTEM) as session:
        await session.execute(update(LeaseRow).values(expires_at=LONG_AGO))
    assert await second.lead()
    assert not await first.lead()
    await second.resign()
    assert await first.lead()


async def test_an_hourly_loop_has_its_first_round_as_soon_as_this_process_leads(
    own_database: Database,
) -> None:
    ran = asyncio.Event()

    async def action() -> None:
        ran.set()

    task = asyncio.create_task(Loops(Leader(own_database, new_id()), [Loop("hourly", 3600, action)]).run())
    await asyncio.wait_for(ran.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await Leader(own_database, new_id()).lead()


async def test_a_job_whose_end_got_lost_does_not_stay_active_for_ever(
    own_database: Database, engine: Engine, quick_runner: Runner, row_of: Callable[..., Awaitable[JobRow]]
) -> None:
    row = await pending(own_database, engine)
    worker = new_id()
    async with own_database.transaction(SYSTEM) as session:
        session.add(WorkerRow(id=worker, host="here", pid=1, version="0", queues=[], jobs=0))
        values = {"state": State.ACTIVE, "worker": worker, "updated_at": LONG_AGO, "started_at": LONG_AGO}
        await session.execute(update(JobRow).where(JobRow.id == row.id).values(values))
    await Reconciler(own_database, engine, quick_runner).sweep()
    assert (await row_of(row.id)).state == State.PENDING


async def test_a_row_of_a_queue_that_is_gone_holds_up_no_other(own_database: Database, engine: Engine) -> None:
    row = await pending(own_database, engine)
    other = await pending(own_database, engine)
    async with own_database.transaction(SYSTEM) as session:
        await session.execute(update(JobRow).where(JobRow.id == other.id).values(queue="gone", updated_at=LONG_AGO))
    assert await Relay(own_database, engine).push_pending() == 1
    assert await engine.places([row]) == ["here"]


async def pending(database: Database, engine: Engine) -> JobRow:
    """A row whose push never happened, and that has waited long enough for the relay."""
    async with database.transaction(PLATFORM) as session:
        job_id = await enqueue(session, Note(text="kept"))
    async with asyncio.timeout(10):
        async with database.transaction(SYSTEM) as session:
            # The push is noted by nobody's leave: what this sets must come after it.
            while await session.scalar(select(JobRow.state).filter_by(id=job_id)) != State.QUEUED:
                await asyncio.sleep(0.01)
    await engine.client.flushall()
    async with database.transaction(SYSTEM) as session:
        values = {"state": State.PENDING, "updated_at": LONG_AGO}
        await session.execute(update(JobRow).where(JobRow.id == job_id).values(values))
        row = await session.get(JobRow, job_id)
        assert row is not None
        return row


async def test_the_relay_pushes_what_a_request_could_not(own_database: Database, engine: Engine) -> None:
    row = await pending(own_database, engine)
    assert await Relay(own_database, engine).push_pending() == 1
    assert await Relay(own_database, engine).push_pending() == 0
    assert await engine.places([row]) == ["here"]


async def test_two_relays_at_once_push_each_job_once(own_database: Database, engine: Engine) -> None:
    row = await pending(own_database, engine)
    counts = await asyncio.gather(*(Relay(own_database, engine).push_pending() for _ in range(3)))
    assert sum(counts) == 1
    assert await engine.client.lrange(engine.key(QUICK.engine_name, "wait"), 0, -1) == [str(row.id)]


async def test_a_job_that_redis_lost_is_pushed_again_with_the_attempts_it_had(
    own_database: Database, engine: Engine, quick_runner: Runner
) -> None:
    row = await pending(own_database, engine)
    async with own_database.transaction(SYSTEM) as session:
        values = {"state": State.RETRYING, "attempts_made": 2, "updated_at": LONG_AGO}
        await session.execute(update(JobRow).where(JobRow.id == row.id).values(values))
    assert await Reconciler(own_database, engine, quick_runner).sweep() == 1
    async with own_database.transaction(SYSTEM) as session:
        await session.execute(update(JobRow).values(updated_at=LONG_AGO))
    assert await Relay(own_database, engine).push_pending() == 1
    assert await engine.field(row, "atm") == "2"


async def test_a_job_in_the_hand_of_a_living_worker_is_left_alone(
    own_database: Database, engine: Engine, quick_runner: Runner, row_of: Callable[..., Awaitable[JobRow]]
) -> None:
    row = await pending(own_database, engine)
    worker = new_id()
    async with own_database.transaction(SYSTEM) as session:
        session.add(WorkerRow(id=worker, host="here", pid=1, version="0", queues=[], jobs=1))
        values = {"state": State.ACTIVE, "worker": worker, "updated_at": LONG_AGO}
        await session.execute(update(JobRow).where(JobRow.id == row.id).values(values))
    reconciler = Reconciler(own_database, engine, quick_runner)
    await reconciler.sweep()
    assert (await row_of(row.id)).state == State.ACTIVE
    async with own_database.transaction(SYSTEM) as session:
        await session.execute(update(WorkerRow).values(beat_at=LONG_AGO))
    await reconciler.sweep()
    assert (await row_of(row.id)).state == State.PENDING


async def test_what_another_programs_worker_finished_does_not_run_again(
    own_database: Database,
    engine: Engine,
    quick_runner: Runner,
    ledger: Ledger,
    row_of: Callable[..., Awaitable[JobRow]],
) -> None:
    done, failed = await pending(own_database, engine), await pending(own_database, engine)
    for row, place in ((done, "completed"), (failed, "failed")):
        await engine.client.zadd(engine.key(QUICK.engine_name, place), {row.engine_id: 1.7e12})
        await engine.client.hset(engine.key(QUICK.engine_name, row.engine_id), "failedReason", "it said no")
        async with own_database.transaction(SYSTEM) as session:
            values = {"state": State.QUEUED, "updated_at": LONG_AGO}
            await session.execute(update(JobRow).where(JobRow.id == row.id).values(values))
    await Reconciler(own_database, engine, quick_runner).sweep()
    assert (await row_of(done.id)).state == State.COMPLETED
    dead = await row_of(failed.id)
    assert (dead.state, dead.error_message) == (State.DEAD, "it said no")
    assert ledger.notes == []


async def test_a_job_that_cannot_be_brought_in_step_holds_up_none_behind_it(
    own_database: Database,
    engine: Engine,
    quick_runner: Runner,
    row_of: Callable[..., Awaitable[JobRow]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stuck, behind = await pending(own_database, engine), await pending(own_database, engine)
    for row in (stuck, behind):
        await engine.client.zadd(engine.key(QUICK.engine_name, "completed"), {row.engine_id: 1.7e12})
        async with own_database.transaction(SYSTEM) as session:
            values = {"state": State.QUEUED, "updated_at": LONG_AGO}
            await session.execute(update(JobRow).where(JobRow.id == row.id).values(values))
    right = record.complete_elsewhere

    async def refuse_one(session: AsyncSession, row: AnyJob) -> bool:
        if row.id == stuck.id:
            raise ValueError("a text that no database takes")
        return await right(session, row)

    monkeypatch.setattr(record, "complete_elsewhere", refuse_one)
    with pytest.raises(RuntimeError, match="1 jobs could not be brought in step"):
        await Reconciler(own_database, engine, quick_runner).sweep()
    assert [(await row_of(row.id)).state for row in (stuck, behind)] == [State.QUEUED, State.COMPLETED]


async def test_a_pause_that_redis_missed_is_mirrored_later(
    own_database: Database, engine: Engine, quick_runner: Runner
) -> None:
    async with own_database.transaction(PLATFORM) as session:
        await session.execute(text("INSERT INTO queue (name, paused_at) VALUES ('test:quick', now())"))
    reconciler = Reconciler(own_database, engine, quick_runner)
    await reconciler.mirror_pauses()
    assert (await engine.paused())[QUICK.name]
    async with own_database.transaction(PLATFORM) as session:
        await session.execute(text("UPDATE queue SET paused_at = NULL"))
    await reconciler.mirror_pauses()
    assert not (await engine.paused())[QUICK.name]


async def test_a_delayed_job_that_was_wanted_at_once_while_redis_was_away_is_made_due(
    own_database: Database, engine: Engine, quick_runner: Runner
) -> None:
    async with own_database.transaction(PLATFORM) as session:
        job_id = await enqueue(session, Note(text="x"), run_at=datetime.now(UTC) + timedelta(hours=1))
    async with own_database.transaction(SYSTEM) as session:
        await session.execute(update(JobRow).values(state=State.QUEUED, run_at=LONG_AGO, updated_at=LONG_AGO))
        row = await session.get_one(JobRow, job_id)
    assert await engine.places([row]) == ["delayed"]
    await Reconciler(own_database, engine, quick_runner).sweep()
    assert await engine.places([row]) == ["here"]


async def test_what_was_ended_or_replayed_while_redis_was_away_leaves_it(
    own_database: Database, engine: Engine, quick_runner: Runner
) -> None:
    waiting, removed, replayed = [await pending(own_database, engine) for _ in range(3)]
    await engine.push([waiting, removed, replayed])
    letters = engine.queue(QUICK.dead_letters_engine_name)
    for row in (waiting, replayed):
        await letters.add("note", {}, {"jobId": row.engine_id})
    async with own_database.transaction(SYSTEM) as session:
        became = ((waiting, {"state": State.DEAD}), (removed, {"state": State.REMOVED}), (replayed, {"run": 1}))
        for row, values in became:
            await session.execute(update(JobRow).where(JobRow.id == row.id).values(values))
    assert await Tidier(own_database, engine).tidy() == 3
    held = await engine.waiting(QUICK.name, 0, 10)
    assert sorted(held) == [waiting.engine_id, waiting.engine_id], "a dead letter stays"
    assert await Tidier(own_database, engine).tidy() == 0


async def test_a_refill_hands_back_in_batches_all_that_redis_lost(
    own_database: Database,
    engine: Engine,
    quick_runner: Runner,
    until_state: Callable[..., Awaitable[JobRow]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "SLICE", 2)
    async with own_database.transaction(PLATFORM) as session:
        ids = [await enqueue(session, Note(text=str(n))) for n in range(5)]
    rows = [await until_state(job_id, State.QUEUED) for job_id in ids]
    await engine.client.flushall()
    assert await Reconciler(own_database, engine, quick_runner).refill() == 5
    assert await engine.epoch()
    async with own_database.transaction(SYSTEM) as session:
        await session.execute(update(JobRow).values(updated_at=LONG_AGO))
    assert await Relay(own_database, engine).waiting() == 5
    sizes: list[int] = []
    assert await Relay(own_database, engine).push_pending(sizes.append) == sum(sizes) == 5
    assert await engine.places(rows) == ["here"] * 5


async def test_a_refill_waits_for_nobody_who_changes_a_row(
    own_database: Database, engine: Engine, quick_runner: Runner, row_of: Callable[..., Awaitable[JobRow]]
) -> None:
    rows = [await pending(own_database, engine) for _ in range(3)]
    async with own_database.transaction(SYSTEM) as session:
        await session.execute(update(JobRow).values(state=State.QUEUED, updated_at=LONG_AGO))
    async with own_database.transaction(SYSTEM) as session:
        await session.get(JobRow, rows[1].id, with_for_update=True)
        async with asyncio.timeout(5):
            assert await Reconciler(own_database, engine, quick_runner).refill() == 2
    states = [(await row_of(row.id)).state for row in rows]
    assert states == [State.PENDING, State.QUEUED, State.PENDING], "what somebody changes is left to the sweep"


async def test_the_relay_pushes_in_slices_bounded_by_count_and_size(
    own_database: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "MOST_JOBS", 4)
    rows = [await pending(own_database, engine) for _ in range(7)]
    large = {rows[0].id: 600_000, rows[1].id: 600_000, rows[6].id: 2_000_000}
    async with own_database.transaction(SYSTEM) as session:
        for n, row in enumerate(rows):
            payload = {"text": "x" * large.get(row.id, 1)}
            values = {"payload": payload, "run_at": text(f"now() - interval '{60 - n} seconds'")}
            values |= {"state": State.PENDING, "updated_at": LONG_AGO}
            await session.execute(update(JobRow).where(JobRow.id == row.id).values(values))
    sizes: list[int] = []
    assert await Relay(own_database, engine).push_pending(sizes.append) == 7
    assert sizes == [1, 4, 1, 1], "two large ones go apart, four small ones together, what is too large goes alone"
    assert await engine.client.lrange(engine.key(QUICK.engine_name, "wait"), 0, -1) == [str(r.id) for r in rows][::-1]


async def test_a_slice_that_fails_holds_up_no_other_and_only_the_job_in_it_that_cannot_be_pushed(
    own_database: Database, engine: Engine, row_of: Callable[..., Awaitable[JobRow]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "MOST_JOBS", 2)
    rows = [await pending(own_database, engine) for _ in range(5)]
    async with own_database.transaction(SYSTEM) as session:
        values = {"attempts_made": 1, "updated_at": LONG_AGO}
        await session.execute(update(JobRow).where(JobRow.id == rows[0].id).values(values))
    # Something else lies where the job's fields should: Redis refuses that one command.
    await engine.client.set(engine.key(QUICK.engine_name, rows[0].engine_id), "no hash")
    sizes: list[int] = []
    with pytest.raises(RuntimeError, match="1 jobs could not be brought in step"):
        await Relay(own_database, engine).push_pending(sizes.append)
    assert sizes == [2, 1], "the slices behind it went first"
    states = [(await row_of(row.id)).state for row in rows]
    assert states == [State.PENDING, *[State.QUEUED] * 4]
    assert await engine.places(rows[1:]) == ["here"] * 4


async def test_the_relay_waits_for_a_slow_redis_and_holds_no_row_while_there_is_none(
    own_database: Database,
    engine: Engine,
    quick_runner: Runner,
    worker_redis: Redis,
    until_state: Callable[..., Awaitable[JobRow]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = await pending(own_database, engine)
    nobody = hasty("redis://127.0.0.1:1/0")
    away = engine.over(nobody)
    monkeypatch.setattr(engine_module, "ANSWER_S", 0.2)
    with pytest.raises((RedisError, OSError)):
        await Relay(own_database, away).push_pending()
    with pytest.raises(TimeoutError, match=r"has not answered for 0\.2 s"):
        await Relay(own_database, engine.over(patient("redis://127.0.0.1:1/0"))).push_pending()
    async with own_database.transaction(SYSTEM) as session:
        assert await session.get(JobRow, row.id, with_for_update={"nowait": True}) is not None
    # Its loops take the worker's own client, whatever becomes of the one for requests.
    process = WorkerProcess(own_database, away, quick_runner, [QUICK], concurrency=1, client=worker_redis)
    stop = asyncio.Event()
    task = asyncio.create_task(process.run(stop))
    await until_state(row.id, State.COMPLETED)
    stop.set()
    await task
    await nobody.aclose(close_connection_pool=True)


async def test_a_rebuild_takes_in_what_dead_workers_had_in_hand_and_leaves_the_rest_to_the_living(
    own_database: Database, engine: Engine, quick_runner: Runner, row_of: Callable[..., Awaitable[JobRow]]
) -> None:
    rows = [await pending(own_database, engine) for _ in range(3)]
    alive, dead = new_id(), new_id()
    async with own_database.transaction(SYSTEM) as session:
        for worker, beat in ((alive, text("now()")), (dead, LONG_AGO)):
            session.add(WorkerRow(id=worker, host="here", pid=1, version="0", queues=[], jobs=1, beat_at=beat))
        for row, worker in zip(rows, (alive, dead, new_id()), strict=True):
            values = {"state": State.ACTIVE, "worker": worker, "attempt": 1, "updated_at": LONG_AGO}
            await session.execute(update(JobRow).where(JobRow.id == row.id).values(values))
    assert await Reconciler(own_database, engine, quick_runner).refill() == 2
    assert await Relay(own_database, engine).push_pending() == 2
    after = [await row_of(row.id) for row in rows]
    assert [row.state for row in after] == [State.ACTIVE, State.QUEUED, State.QUEUED]
    assert [row.worker for row in after] == [alive, None, None]
    assert await engine.places(rows) == ["unknown", "here", "here"]


async def test_letters_leave_redis_after_seven_days_and_stay_in_the_record(
    own_database: Database, engine: Engine, row_of: Callable[..., Awaitable[JobRow]]
) -> None:
    old, fresh, untold = [await pending(own_database, engine) for _ in range(3)]
    letters = engine.queue(QUICK.dead_letters_engine_name)
    week_ago_ms = round((clock.now() - QUICK.letters_kept_for.total_seconds() - 60) * 1000)
    for row in (old, untold):
        await letters.add("note", {}, {"jobId": row.engine_id, "timestamp": week_ago_ms})
    await letters.add("foreign", {}, {"jobId": "somebody-elses", "timestamp": week_ago_ms})
    await letters.add("note", {}, {"jobId": fresh.engine_id})
    failed = engine.key(QUICK.engine_name, "failed")
    await engine.client.zadd(failed, {"node-old": week_ago_ms, "node-new": week_ago_ms + 600_000})
    async with own_database.transaction(SYSTEM) as session:
        await session.execute(update(JobRow).where(JobRow.id != untold.id).values(state=State.DEAD))
    tidier = Tidier(own_database, engine)
    assert await tidier.tidy() == 3
    waiting = await engine.client.lrange(engine.key(QUICK.dead_letters_engine_name, "wait"), 0, -1)
    assert waiting == [fresh.engine_id, untold.engine_id], "whose row is unfinished waits for the reconciler"
    assert await engine.client.zrange(failed, 0, -1) == ["node-new"]
    assert not await engine.client.keys(f"*{old.id}*")
    assert (await row_of(old.id)).state == State.DEAD
    assert await tidier.tidy() == 0
