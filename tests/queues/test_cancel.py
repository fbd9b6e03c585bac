"""Cancelling, removing and undoing, on the record and in Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from redis.asyncio import Redis
from sqlalchemy import func, select, update

from app.core.database import SYSTEM, Database
from app.core.errors import Conflict
from app.core.live import Signal
from app.core.settings import Settings
from app.queues import control, record, trash
from app.queues.cancel import cancel, repeat_wishes
from app.queues.engine import Engine
from app.queues.enqueue import enqueue
from app.queues.models import AttemptRow, JobRow, KeyRow, State
from tests.queues.conftest import Ledger, begin
from tests.queues.kinds import PLATFORM, QUICK, Fail, Note

RowOf = Callable[[UUID], Awaitable[JobRow]]
Until = Callable[..., Awaitable[JobRow]]


async def ask(database: Database, until_state: Until, **options: object) -> JobRow:
    """A job that waits in Redis."""
    async with database.transaction(PLATFORM) as session:
        job_id = await enqueue(session, Fail(message="x"), **options)  # type: ignore[arg-type]
    return await until_state(job_id, State.QUEUED)


async def active(database: Database, row: JobRow) -> JobRow:
    return await begin(database, row.id, row.run)


async def test_a_job_that_waits_is_cancelled_at_once_and_leaves_redis_with_its_hash(
    own_database: Database, engine: Engine, until_state: Until, row_of: RowOf, ledger: Ledger
) -> None:
    waiting = await ask(own_database, until_state, key="k")
    delayed = await ask(own_database, until_state, run_at=datetime.now(UTC) + timedelta(hours=1))
    for row in (waiting, delayed):
        async with own_database.transaction(PLATFORM) as session:
            await cancel(session, row, by="owner@example.org")
        assert (await row_of(row.id)).state == State.CANCELLED
    assert await engine.places([waiting, delayed]) == ["unknown", "unknown"]
    assert await engine.client.keys(f"*{waiting.id}*") == []
    assert ledger.dead == ["the job was cancelled"] * 2
    async with own_database.transaction(SYSTEM) as session:
        assert (await session.scalars(select(KeyRow))).all() == []
    async with own_database.transaction(PLATFORM) as session:
        with pytest.raises(Conflict) as refused:
            await cancel(session, await row_of(waiting.id), by="owner@example.org")
    assert refused.value.code == "not_cancellable"


async def test_the_wish_to_stop_an_active_job_is_kept_told_and_fulfilled_by_its_worker(
    own_database: Database, until_state: Until, row_of: RowOf, settings: Settings, worker_redis: Redis, ledger: Ledger
) -> None:
    row = await active(own_database, await ask(own_database, until_state))
    heard: list[Signal] = []
    async with worker_redis.pubsub() as listener:
        await listener.subscribe(settings.key("live", "signals", "all"))
        async with own_database.transaction(PLATFORM) as session:
            await cancel(session, row, by="owner@example.org")
        async with asyncio.timeout(5):
            while not any(one.topic == record.CANCEL_TOPIC for one in heard):
                message = await listener.get_message(ignore_subscribe_messages=True, timeout=1)
                if message is not None:
                    heard.append(msgspec.json.decode(message["data"], type=Signal))
    assert [one.id for one in heard if one.topic == record.CANCEL_TOPIC] == [str(row.id)]
    marked = await row_of(row.id)
    assert (marked.state, marked.cancel_requested_at is not None) == (State.ACTIVE, True)
    async with own_database.transaction(SYSTEM) as session:
        assert await record.cancelled(session, row, ["so far"])
        assert not await record.cancelled(session, row, ["again"])
        attempt = (await session.scalars(select(AttemptRow).filter_by(job_id=row.id))).one()
    assert (attempt.error_class, attempt.log) == ("Cancelled", ["so far"])
    assert (await row_of(row.id)).state == State.CANCELLED


async def test_nobody_cancels_an_active_job_that_nobody_wants_cancelled(
    own_database: Database, until_state: Until
) -> None:
    row = await active(own_database, await ask(own_database, until_state))
    async with own_database.transaction(SYSTEM) as session:
        assert not await record.cancelled(session, row, ())
        assert await record.complete(session, row, None, ())


async def test_a_wish_that_its_worker_took_to_the_grave_is_brought_about_by_the_loop(
    own_database: Database, until_state: Until, row_of: RowOf, ledger: Ledger
) -> None:
    row = await active(own_database, await ask(own_database, until_state))
    async with own_database.transaction(PLATFORM) as session:
        await cancel(session, row, by="owner@example.org")
    assert await repeat_wishes(own_database) == 1
    assert (await row_of(row.id)).state == State.ACTIVE
    async with own_database.transaction(SYSTEM) as session:
        assert await record.push_again(session, row.id, 0, (await session.get_one(JobRow, row.id)).updated_at)
    assert await repeat_wishes(own_database) == 1
    assert (await row_of(row.id)).state == State.CANCELLED
    assert ledger.dead == ["the job was cancelled"]
    assert await repeat_wishes(own_database) == 0


async def test_a_wish_that_cannot_be_brought_about_holds_up_none_behind_it(
    own_database: Database, until_state: Until, row_of: RowOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await ask(own_database, until_state), await ask(own_database, until_state)
    async with own_database.transaction(SYSTEM) as session:
        wished = {"cancel_requested_at": func.now(), "cancel_requested_by": "owner@example.org"}
        await session.execute(update(JobRow).where(JobRow.id.in_([first.id, second.id])).values(wished))
    right, broken = record.close, iter([ValueError("it cannot be closed")])

    async def fail_first(*args: Any) -> Any:
        if error := next(broken, None):
            raise error
        return await right(*args)

    monkeypatch.setattr(record, "close", fail_first)
    with pytest.raises(RuntimeError, match="1 jobs could not be brought in step"):
        await repeat_wishes(own_database)
    states = [(await row_of(row.id)).state for row in (first, second)]
    assert sorted(states) == [State.CANCELLED, State.QUEUED]


async def test_undo_brings_a_removed_job_back_as_a_new_run_with_its_attempts_time_and_key(
    own_database: Database, engine: Engine, until_state: Until, row_of: RowOf
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    row = await ask(own_database, until_state, run_at=later, key="k")
    async with own_database.transaction(SYSTEM) as session:
        await session.execute(update(JobRow).where(JobRow.id == row.id).values(attempts_made=1))
    async with own_database.transaction(PLATFORM) as session:
        await control.remove(session, row)
    removed = await row_of(row.id)
    assert (removed.state, removed.removed_from, await engine.places([row])) == (
        State.REMOVED,
        State.QUEUED,
        ["unknown"],
    )
    async with own_database.transaction(PLATFORM) as session:
        await trash.restore(session, removed)
    back = await until_state(row.id, State.QUEUED)
    assert (back.run, back.attempts_made, back.run_at, back.delayed, back.finished_at) == (1, 1, later, True, None)
    assert await engine.places([row, back]) == ["unknown", "delayed"]
    assert await engine.field(back, "atm") == "1"
    async with own_database.transaction(PLATFORM) as session:
        assert await enqueue(session, Fail(message="x"), key="k") == row.id


@pytest.mark.parametrize("state", [State.COMPLETED, State.DEAD, State.CANCELLED])
async def test_undo_of_what_had_ended_restores_the_state_and_runs_nothing(
    own_database: Database, until_state: Until, row_of: RowOf, engine: Engine, state: State
) -> None:
    row = await ask(own_database, until_state)
    ended = datetime.now(UTC) - timedelta(days=1)
    async with own_database.transaction(SYSTEM) as session:
        values = {"state": state, "finished_at": ended}
        await session.execute(update(JobRow).where(JobRow.id == row.id).values(values))
    for act in (control.remove, trash.restore):
        async with own_database.transaction(PLATFORM) as session:
            await act(session, await session.get_one(JobRow, row.id))
    back = await row_of(row.id)
    assert (back.state, back.run, back.finished_at) == (state, 0, ended)
    assert await engine.places([back]) == ["unknown"]


async def test_the_trash_is_emptied_after_ten_minutes_and_the_row_stays(
    own_database: Database, until_state: Until, row_of: RowOf
) -> None:
    row, fresh = await ask(own_database, until_state), await ask(own_database, until_state)
    for each in (row, fresh):
        async with own_database.transaction(PLATFORM) as session:
            await control.remove(session, each)
    async with own_database.transaction(SYSTEM) as session:
        long_ago = func.now() - timedelta(minutes=10, seconds=1)
        await session.execute(update(JobRow).where(JobRow.id == row.id).values(removed_at=long_ago))
    async with own_database.transaction(PLATFORM) as session:
        with pytest.raises(Conflict) as refused:
            await trash.restore(session, await row_of(row.id))
    assert refused.value.code == "not_in_trash"
    async with own_database.transaction(SYSTEM) as session:
        assert await trash.empty(session) == 1
        assert await trash.empty(session) == 0
    gone = await row_of(row.id)
    assert (gone.state, gone.removed_at, gone.removed_from) == (State.REMOVED, None, State.QUEUED)
    async with own_database.transaction(PLATFORM) as session:
        await trash.restore(session, await row_of(fresh.id))


async def test_undo_is_refused_when_the_work_was_asked_for_again(
    own_database: Database, until_state: Until, row_of: RowOf
) -> None:
    row = await ask(own_database, until_state, key="k")
    async with own_database.transaction(PLATFORM) as session:
        await control.remove(session, row)
        await enqueue(session, Note(text="other"), key="k")
    with pytest.raises(Conflict) as refused:
        async with own_database.transaction(PLATFORM) as session:
            await trash.restore(session, await row_of(row.id))
    assert refused.value.code == "key_taken"
    assert (await row_of(row.id)).state == State.REMOVED
    assert row.queue == QUICK.name
