"""The loop of a worker: what it waits for, what it fetches, and what it does when things go wrong."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import bullmq
import msgpack
import pytest
import uvloop
from redis.asyncio import Redis

from app.core.database import SYSTEM, Database
from app.core.ids import new_id
from app.queues import consumer as consumer_module
from app.queues import lane as lane_module
from app.queues import slots as slots_module
from app.queues.clock import clock
from app.queues.consumer import LOCK_MS, Consumer, Delivery, Verdict, check_layouts
from app.queues.engine import Engine
from app.queues.enqueue import enqueue
from app.queues.job import Kinds
from app.queues.lane import Lane
from app.queues.models import JobRow, State
from app.queues.relay import Reconciler
from app.queues.runner import Runner
from app.queues.worker import WorkerProcess
from tests.queues.conftest import Ledger
from tests.queues.kinds import PLATFORM, QUICK, Fail, Note, Sin

Until = Callable[..., Awaitable[JobRow]]
Start = Callable[..., Awaitable[WorkerProcess]]
SLOW = dataclasses.replace(QUICK, timeout_s=60)


@pytest.fixture
async def start(
    own_database: Database, engine: Engine, kinds: Kinds, worker_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Start, None]:
    """Starts workers that ask only when something calls them: what the test waits for did not come by asking."""
    monkeypatch.setattr(slots_module, "WAIT_S", 60.0)
    stops: list[tuple[asyncio.Event, asyncio.Task[None]]] = []

    async def make(places: int = 5) -> WorkerProcess:
        runner = Runner(own_database, kinds, {QUICK.name: SLOW}, new_id())
        process = WorkerProcess(own_database, engine, runner, [SLOW], concurrency=places, client=worker_redis)
        stop = asyncio.Event()
        stops.append((stop, asyncio.create_task(process.run(stop))))
        return process

    yield make
    for stop, task in stops:
        stop.set()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def by_hand(engine: Engine, worker_redis: Redis) -> Consumer:
    """A consumer without a loop."""
    return engine.consumers(worker_redis, [QUICK])[0]


async def ask(database: Database, job: Note | Fail | Sin, **options: Any) -> UUID:
    async with database.transaction(PLATFORM) as session:
        return await enqueue(session, job, **options)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_bullmqs_scripts_get_their_arguments_as_bullmq_itself_hands_them_over(
    by_hand: Consumer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_layouts()
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    handed: list[tuple[list[Any], list[Any]]] = []

    async def record(keys: list[Any], args: list[Any]) -> int:
        handed.append((keys, args))
        return 0

    scripts = engine.queue(QUICK.engine_name).backend.scripts
    monkeypatch.setattr(by_hand, "_fetch", record)
    monkeypatch.setattr(by_hand, "_finish", record)
    monkeypatch.setitem(scripts.commands, "moveToActive", record)
    await by_hand.fetch("token")
    await scripts.moveToActive("token", {"lockDuration": LOCK_MS})
    assert handed[0] == handed[1]

    await by_hand.complete(Delivery("some-id", {}, "token"), fetch_next=True)
    job = bullmq.Job(engine.queue(QUICK.engine_name), "kind", {}, {**QUICK.engine_options(), "jobId": "some-id"})
    job.attempts = QUICK.attempts
    job.queue.opts["lockDuration"] = LOCK_MS
    keys, args = scripts.moveToCompletedArgs(job, None, QUICK.engine_options()["removeOnComplete"], "token", True)
    ours_keys, ours = handed[2]
    assert ours_keys == keys
    assert [*ours[:-1], msgpack.unpackb(ours[-1])] == [*args[:-1], msgpack.unpackb(args[-1])]


async def test_another_version_of_bullmq_stops_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "LAYOUTS_OF", "0.0.1")
    with pytest.raises(RuntimeError, match=r"known for 0\.0\.1 only"):
        check_layouts()


async def test_a_delayed_job_runs_when_it_is_due_and_not_before(
    start: Start, own_database: Database, until_state: Until, ledger: Ledger
) -> None:
    await start()
    due = datetime.now(UTC) + timedelta(seconds=0.4)
    soon = await ask(own_database, Note(text="now"))
    later = await ask(own_database, Note(text="later"), run_at=due)
    await until_state(soon, State.COMPLETED)
    row = await until_state(later, State.COMPLETED)
    assert ledger.notes == ["now", "later"]
    assert row.started_at is not None
    assert row.started_at >= due - timedelta(milliseconds=5)


async def test_a_queue_that_was_full_is_waited_for_again(
    start: Start, own_database: Database, until_state: Until, ledger: Ledger
) -> None:
    process = await start(places=1)
    first = await ask(own_database, Sin(what="wait"))
    await until(lambda: ledger.notes == ["waits"])
    second = await ask(own_database, Note(text="second"))
    await until_state(second, State.QUEUED)
    assert process.slots.jobs == 1
    ledger.release.set()
    await until_state(first, State.COMPLETED)
    await until_state(second, State.COMPLETED)
    await until(lambda: process.slots.jobs == 0)
    await until_state(await ask(own_database, Note(text="third")), State.COMPLETED)
    assert ledger.notes == ["waits", "released", "second", "third"]


async def test_a_full_worker_leaves_the_job_to_one_with_room(
    start: Start, own_database: Database, until_state: Until, ledger: Ledger
) -> None:
    full, other = await start(places=1), await start(places=1)
    first = await ask(own_database, Sin(what="wait"))
    await until(lambda: ledger.notes == ["waits"])
    for n in range(3):
        await until_state(await ask(own_database, Note(text=str(n))), State.COMPLETED)
    assert sorted((full.slots.jobs, other.slots.jobs)) in ([0, 1], [1, 1])
    ledger.release.set()
    await until_state(first, State.COMPLETED)


async def test_no_more_handlers_run_at_once_than_there_are_places(
    start: Start, own_database: Database, until_state: Until, ledger: Ledger
) -> None:
    process = await start(places=3)
    jobs = [await ask(own_database, Sin(what="wait")) for _ in range(8)]
    await until(lambda: len(ledger.notes) == 3)
    assert process.slots.jobs == 3
    ledger.release.set()
    for job_id in jobs:
        await until_state(job_id, State.COMPLETED)
    most = now = 0
    for note in ledger.notes:
        now += 1 if note == "waits" else -1
        most = max(most, now)
    assert most == 3


@pytest.mark.trap(24)
async def test_the_next_short_job_comes_with_the_end_of_the_last(
    start: Start, own_database: Database, until_state: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []
    asked = Consumer.fetch

    async def fetch(consumer: Consumer, token: str) -> Delivery | None:
        questions.append(token)
        return await asked(consumer, token)

    monkeypatch.setattr(Consumer, "fetch", fetch)
    jobs = [await ask(own_database, Sin(what="nothing")) for _ in range(60)]
    await start()
    for job_id in jobs:
        await until_state(job_id, State.COMPLETED)
    assert len(questions) < len(jobs) / 2


async def test_the_lock_of_a_job_that_takes_long_is_renewed(
    start: Start,
    own_database: Database,
    engine: Engine,
    until_state: Until,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer_module, "LOCK_MS", 400)
    monkeypatch.setattr(consumer_module, "STALL_CHECK_MS", 50)
    monkeypatch.setattr(slots_module, "RENEW_S", 0.1)
    monkeypatch.setattr(slots_module, "STALLS_S", 0.05)
    await start()
    job_id = await ask(own_database, Sin(what="wait"))
    await until_state(job_id, State.ACTIVE)
    key = engine.key(QUICK.engine_name, f"{job_id}:lock")
    token = await engine.client.get(key)
    ends = time.monotonic() + 1.0
    while time.monotonic() < ends:
        assert await engine.client.get(key) == token
        await asyncio.sleep(0.02)
    ledger.release.set()
    row = await until_state(job_id, State.COMPLETED)
    assert (row.attempt, ledger.notes) == (1, ["waits", "released"])


@pytest.mark.trap(17)
async def test_what_a_dead_worker_had_in_hand_is_run_by_another(
    start: Start,
    own_database: Database,
    engine: Engine,
    by_hand: Consumer,
    until_state: Until,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer_module, "LOCK_MS", 50)
    monkeypatch.setattr(consumer_module, "STALL_CHECK_MS", 50)
    monkeypatch.setattr(slots_module, "STALLS_S", 0.05)
    job_id = await ask(own_database, Note(text="taken over"))
    await until_state(job_id, State.QUEUED)
    lost = await by_hand.fetch("a worker that dies")
    assert lost is not None
    assert lost.engine_id == str(job_id)
    await start()
    await until_state(job_id, State.COMPLETED)
    assert ledger.notes == ["taken over"]
    with pytest.raises(consumer_module.LockLost):
        await by_hand.complete(lost, fetch_next=False)


@pytest.mark.trap(6)
async def test_a_job_that_stalled_too_often_dies_without_being_run(
    start: Start, own_database: Database, engine: Engine, until_state: Until, ledger: Ledger
) -> None:
    job_id = await ask(own_database, Fail(message="never"))
    await until_state(job_id, State.QUEUED)
    message = "job stalled more than allowable limit"
    await engine.client.hset(engine.key(QUICK.engine_name, str(job_id)), "defa", message)
    await start()
    row = await until_state(job_id, State.DEAD)
    assert (row.error_class, row.error_message, row.attempts_made) == ("Stalled", message, 0)
    assert ledger.dead == [message]
    assert await engine.places([row]) == ["dead"]


async def test_another_programs_job_of_a_kind_that_nobody_runs_is_a_clear_dead_letter(
    start: Start, engine: Engine, own_database: Database, until_state: Until
) -> None:
    await start()
    await engine.queue(QUICK.engine_name).add("theirs", {"a": 1}, {"jobId": "42"})
    letter = engine.key(QUICK.dead_letters_engine_name, "42")
    async with asyncio.timeout(10):
        while not await engine.client.exists(letter):
            await asyncio.sleep(0.01)
    assert "no processor for the kind 'theirs'" in str(await engine.client.hget(letter, "data"))
    await until_state(await ask(own_database, Note(text="ours")), State.COMPLETED)


async def test_a_job_whose_hash_redis_has_lost_is_not_run_but_pushed_again(
    start: Start,
    own_database: Database,
    engine: Engine,
    quick_runner: Runner,
    until_state: Until,
    row_of: Callable[[UUID], Awaitable[JobRow]],
    ledger: Ledger,
) -> None:
    job_id = await ask(own_database, Note(text="evicted"))
    row = await until_state(job_id, State.QUEUED)
    await engine.client.delete(engine.key(QUICK.engine_name, str(job_id)))
    process = await start()
    async with asyncio.timeout(10):
        while await engine.places([row]) != ["unknown"] or process.slots.jobs:
            await asyncio.sleep(0.01)
    assert ledger.notes == []
    async with own_database.transaction(SYSTEM) as session:
        found = await session.get(JobRow, job_id)
        assert found is not None
        found.updated_at = datetime.now(UTC) - timedelta(minutes=1)
    await Reconciler(own_database, engine, quick_runner).sweep()
    await until_state(job_id, State.COMPLETED)
    assert ledger.notes == ["evicted"]


@pytest.mark.trap(9)
async def test_a_handler_that_cancels_its_own_task_harms_no_other_job(
    start: Start, own_database: Database, until_state: Until, ledger: Ledger
) -> None:
    await start(places=1)
    job_id = await ask(own_database, Sin(what="cancel itself"))
    for n in range(3):
        await until_state(await ask(own_database, Note(text=str(n))), State.COMPLETED)
    assert ledger.notes == ["0", "1", "2"]
    assert "cancelled from within" in ((await until_state(job_id, State.DEAD)).error_message or "")


async def test_a_death_that_the_record_could_not_be_told_at_once_is_told_soon(
    start: Start, own_database: Database, until_state: Until, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury, away = Runner.bury, iter([ConnectionRefusedError("connection refused")])

    async def bury_later(*args: Any) -> bool:
        for error in away:
            raise error
        return await bury(*args)

    monkeypatch.setattr(Runner, "bury", bury_later)
    monkeypatch.setattr(lane_module, "AGAIN_S", 0.01)
    await start()
    job_id = await ask(own_database, Fail(message="wrong"))
    await until_state(job_id, State.DEAD)
    assert next(away, None) is None
    assert ledger.dead == ["wrong"]


async def test_a_moment_that_has_come_may_be_followed_by_another_on_the_workers_own_loop(by_hand: Consumer) -> None:
    async def look() -> bool:
        lane = Lane(by_hand, 0, never, "test", lambda: None)
        lane.look_at(clock.now() - 1)
        lane.look_at(clock.now() + 60)
        lane.look_at(clock.now() - 1)
        lane.forget_due()
        return lane.has_room

    assert not await asyncio.to_thread(uvloop.run, look())


async def never(*_: Any) -> Verdict:
    raise NotImplementedError


async def test_a_worker_whose_loop_broke_does_not_live_on(
    own_database: Database, engine: Engine, kinds: Kinds, worker_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: object) -> None:
        raise LookupError("broken")

    monkeypatch.setattr(slots_module.Slots, "_wait", broken)
    runner = Runner(own_database, kinds, {QUICK.name: QUICK}, new_id())
    process = WorkerProcess(own_database, engine, runner, [QUICK], concurrency=1, client=worker_redis)
    with pytest.raises(LookupError, match="broken"):
        await asyncio.wait_for(process.run(asyncio.Event()), 10)
