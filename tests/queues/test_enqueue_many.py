"""Many jobs at once: one INSERT, one push, and each key goes to one."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine as SyncEngine
from sqlalchemy import event, func, select

from app.core.database import SYSTEM, Database, Plane
from app.core.errors import Invalid
from app.core.ids import new_id
from app.queues.engine import Engine
from app.queues.enqueue import LATEST, LOWEST_PRIORITY, Wanted, enqueue, enqueue_many
from app.queues.models import JobRow, KeyRow, State
from app.queues.push import mark_queued
from tests.queues.kinds import PLATFORM, QUICK, Note

RowOf = Callable[[UUID], Awaitable[JobRow]]


async def count(database: Database) -> int:
    async with database.transaction(SYSTEM) as session:
        return (await session.scalars(select(func.count()).select_from(JobRow))).one()


async def test_a_thousand_jobs_are_one_insert_and_one_push(
    own_database: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes: list[int] = []
    push = engine.push

    async def counted(rows: Any) -> None:
        pushes.append(len(rows))
        await push(rows)

    monkeypatch.setattr(engine, "push", counted)
    inserts: list[str] = []
    pool: SyncEngine = own_database.engine(Plane.PLATFORM).sync_engine

    def seen(_: Any, __: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("INSERT"):
            inserts.append(statement)

    event.listen(pool, "before_cursor_execute", seen)
    try:
        async with own_database.transaction(PLATFORM) as session:
            ids = await enqueue_many(session, [Note(text=str(n)) for n in range(1000)])
    finally:
        event.remove(pool, "before_cursor_execute", seen)
    assert (len(set(ids)), await count(own_database)) == (1000, 1000)
    assert (len(inserts), pushes) == (1, [1000])
    waiting = await engine.client.lrange(engine.key(QUICK.engine_name, "wait"), 0, -1)
    assert waiting[::-1] == [str(id_) for id_ in ids]


async def test_each_job_keeps_what_was_asked_for_it(own_database: Database, row_of: RowOf, engine: Engine) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    async with own_database.transaction(PLATFORM) as session:
        plain, urgent, delayed, timed = await enqueue_many(
            session,
            [
                Note(text="plain"),
                Wanted(job=Note(text="ürgent"), priority=3),
                Wanted(job=Note(text="delayed"), delay=timedelta(minutes=5), key="d"),
                Wanted(job=Note(text="timed"), run_at=later),
            ],
        )
    rows = [await row_of(id_) for id_ in (plain, urgent, delayed, timed)]
    assert [row.payload["text"] for row in rows] == ["plain", "ürgent", "delayed", "timed"]
    assert [row.priority for row in rows] == [0, 3, 0, 0]
    assert [row.delayed for row in rows] == [False, False, True, True]
    assert rows[3].run_at == later
    assert timedelta(minutes=4) < rows[2].run_at - datetime.now(UTC) <= timedelta(minutes=5)
    assert {(row.key, row.max_attempts, row.state in (State.PENDING, State.QUEUED)) for row in rows} == {
        (None, 3, True),
        ("d", 3, True),
    }
    assert await engine.client.zscore(engine.key(QUICK.engine_name, "prioritized"), str(urgent)) is not None
    assert await engine.client.zcard(engine.key(QUICK.engine_name, "delayed")) == 2


async def test_keys_of_a_batch_go_to_whoever_came_first(own_database: Database) -> None:
    async with own_database.transaction(PLATFORM) as session:
        first = await enqueue(session, Note(text="first"), key="a")
    wanted = [Wanted(job=Note(text=str(n)), key=key) for n, key in enumerate(("a", "b", "b", None, "c"))]
    async with own_database.transaction(PLATFORM) as session:
        ids = await enqueue_many(session, wanted)
    assert ids[0] == first
    assert ids[1] == ids[2]
    assert len(set(ids)) == 4
    assert await count(own_database) == 4


async def test_two_batches_with_the_same_keys_in_other_orders_make_one_job_for_each(own_database: Database) -> None:
    keys = [f"k{n}" for n in range(50)]

    async def ask(order: list[str]) -> dict[str, UUID]:
        async with own_database.transaction(PLATFORM) as session:
            ids = await enqueue_many(session, [Wanted(job=Note(text=key), key=key) for key in order])
            return dict(zip(order, ids, strict=True))

    first, second, third = await asyncio.gather(ask(keys), ask(keys[::-1]), ask(keys[25:] + keys[:25]))
    assert first == second == third
    assert await count(own_database) == 50
    async with own_database.transaction(SYSTEM) as session:
        assert (await session.scalars(select(func.count()).select_from(KeyRow))).one() == 50


@pytest.mark.promise("S2-2")
@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("priority", {"priority": -1}),
        ("priority", {"priority": LOWEST_PRIORITY + 1}),
        ("delay", {"delay": timedelta(seconds=-1)}),
        ("delay", {"delay": timedelta.max}),
        ("delay", {"delay": timedelta(1), "run_at": datetime.now(UTC)}),
        ("runAt", {"run_at": LATEST}),
        ("runAt", {"run_at": datetime(2026, 12, 1)}),
    ],
)
async def test_what_bullmq_cannot_hold_is_refused_by_name_and_nothing_is_written(
    own_database: Database, field: str, wrong: dict[str, Any]
) -> None:
    async with own_database.transaction(PLATFORM) as session:
        with pytest.raises(Invalid) as refused:
            await enqueue_many(session, [Note(text="fine"), Wanted(job=Note(text=str(new_id())), **wrong)])
    assert [error.field for error in refused.value.errors] == [field]
    assert await count(own_database) == 0


@pytest.mark.promise("S2-2")
async def test_the_outermost_priority_and_moment_are_kept_by_bullmq(own_database: Database, engine: Engine) -> None:
    last = LATEST - timedelta(milliseconds=1)
    async with own_database.transaction(PLATFORM) as session:
        await enqueue(session, Note(text="low"), priority=LOWEST_PRIORITY)
        moment = await enqueue(session, Note(text="late"), run_at=last)
    low = await engine.client.zrange(engine.key(QUICK.engine_name, "prioritized"), 0, -1)
    assert len(low) == 1
    score = await engine.client.zscore(engine.key(QUICK.engine_name, "delayed"), str(moment))
    assert abs(score / 4096 - last.timestamp() * 1000) < 2000


async def test_noting_a_push_waits_for_nobody(own_database: Database, row_of: RowOf) -> None:
    """Two who change the same rows in different orders would otherwise wait for each other."""
    async with own_database.transaction(PLATFORM) as session:
        first, second = await enqueue_many(session, [Note(text="1"), Note(text="2")])
        session.info["to_push"].clear()
    async with own_database.transaction(SYSTEM) as holder:
        await holder.execute(select(JobRow.id).where(JobRow.id == first).with_for_update())
        async with asyncio.timeout(5), own_database.transaction(SYSTEM) as session:
            await mark_queued(session, [(first, 0), (second, 0), (second, 1)])
    assert ((await row_of(first)).state, (await row_of(second)).state) == (State.PENDING, State.QUEUED)
