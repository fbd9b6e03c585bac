"""Jobs that another program put into Redis by BullMQ's own `Queue.add`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import bullmq
import pytest
from sqlalchemy import func, select

from app.core.database import SYSTEM, Database
from app.core.ids import PLATFORM_TENANT
from app.queues import record
from app.queues.adopt import adopt
from app.queues.engine import Engine
from app.queues.failure import Failure
from app.queues.models import JobRow, KeyRow, State
from app.queues.worker import WorkerProcess
from tests.queues.conftest import Ledger, begin
from tests.queues.kinds import QUICK

RowOf = Callable[[UUID], Awaitable[JobRow]]
Until = Callable[..., Awaitable[JobRow]]


async def add(engine: Engine, data: Any, **options: Any) -> bullmq.Job:
    queue = engine.queue(QUICK.engine_name)
    made = await queue.add("note", data, options)
    return await bullmq.Job.fromId(queue, made.id)


async def fields_of(job: bullmq.Job) -> dict[str, str]:
    fields: dict[str, str] = await job.queue.backend.getJobData(job.id)
    return fields


async def adopted(database: Database, job: bullmq.Job) -> JobRow:
    async with database.transaction(SYSTEM) as session:
        return await adopt(session, QUICK.name, job.id, await fields_of(job))


async def test_a_foreign_job_gets_one_row_however_many_workers_adopt_it(own_database: Database, engine: Engine) -> None:
    job = await add(engine, {"text": "from node"}, attempts=4, priority=2)
    rows = await asyncio.gather(*(adopted(own_database, job) for _ in range(5)))
    assert len({row.id for row in rows}) == 1
    row = rows[0]
    assert (row.tenant_id, row.kind, row.payload) == (PLATFORM_TENANT, "note", {"text": "from node"})
    assert (row.state, row.max_attempts, row.priority) == (State.QUEUED, 4, 2)
    assert row.engine_id == job.id != str(row.id)
    assert await engine.places([row]) == ["here"]
    async with own_database.transaction(SYSTEM) as session:
        assert (await session.scalars(select(func.count()).select_from(JobRow))).one() == 1


async def test_a_foreign_job_that_ended_is_not_adopted_again_and_its_replay_has_an_id_of_ours(
    own_database: Database, engine: Engine, row_of: RowOf
) -> None:
    job = await add(engine, {"text": "x"})
    row = await adopted(own_database, job)
    await begin(own_database, row.id)
    async with own_database.transaction(SYSTEM) as session:
        assert await record.bury(session, await session.get_one(JobRow, row.id), Failure.told("X", "over"), ())
    assert (await adopted(own_database, job)).id == row.id
    async with own_database.transaction(SYSTEM) as session:
        assert (await session.scalars(select(KeyRow.kept))).all() == [True]
        (again,) = await record.run_again(session, [row.id])
    assert (again.engine_id, again.engine_id_of(0)) == (f"{row.id}.r1", job.id)


async def test_an_id_that_comes_back_later_is_another_job(own_database: Database, engine: Engine) -> None:
    first = await adopted(own_database, await add(engine, {"text": "1"}, jobId="nightly", timestamp=1_790_000_000_000))
    await engine.forget(QUICK.name, "nightly")
    second = await adopted(own_database, await add(engine, {"text": "2"}, jobId="nightly", timestamp=1_790_000_000_001))
    assert first.id != second.id
    assert first.engine_id == second.engine_id == "nightly"


@pytest.mark.parametrize("data", [[1, 2], "text", 7, None])
async def test_data_that_is_no_object_is_kept_all_the_same(own_database: Database, engine: Engine, data: Any) -> None:
    job = await add(engine, data)
    assert (await adopted(own_database, job)).payload == {"data": data}


async def test_a_worker_runs_what_another_program_has_added_whatever_its_id(
    worker: WorkerProcess, own_database: Database, engine: Engine, ledger: Ledger, until_state: Until
) -> None:
    ids = ["nightly", str(uuid4()), f"{uuid4()}.r1", None]
    for n, engine_id in enumerate(ids):
        await engine.queue(QUICK.engine_name).add("note", {"text": str(n)}, {"jobId": engine_id} if engine_id else {})
    async with asyncio.timeout(10):
        while len(ledger.notes) < len(ids):
            await asyncio.sleep(0.02)
    async with own_database.transaction(SYSTEM) as session:
        rows = (await session.scalars(select(JobRow))).all()
    assert sorted(ledger.notes) == ["0", "1", "2", "3"]
    assert {row.foreign_id for row in rows} > {one for one in ids if one}
    for row in rows:
        assert (await until_state(row.id, State.COMPLETED)).tenant_id == PLATFORM_TENANT


async def test_a_foreign_job_out_of_attempts_is_a_dead_letter_like_others(
    worker: WorkerProcess, own_database: Database, engine: Engine, until_state: Until
) -> None:
    job = await engine.queue(QUICK.engine_name).add("fail", {"message": "no"}, {"jobId": "7", "attempts": 1})
    row = await found(own_database, job.id)
    assert (await until_state(row.id, State.DEAD)).error_message == "no"
    assert await engine.places([row]) == ["dead"]


async def test_what_the_record_cannot_hold_is_a_letter_in_redis_and_holds_up_nobody(
    worker: WorkerProcess, own_database: Database, engine: Engine, ledger: Ledger
) -> None:
    queue = engine.queue(QUICK.engine_name)
    await queue.add("note", {"text": "a\0b"}, {"jobId": "bad"})
    await queue.add("note", {"text": "good"}, {"jobId": "good"})
    letter = engine.key(QUICK.dead_letters_engine_name, "bad")
    async with asyncio.timeout(10):
        while not (await engine.client.exists(letter) and ledger.notes):
            await asyncio.sleep(0.02)
    assert ledger.notes == ["good"]
    async with own_database.transaction(SYSTEM) as session:
        assert (await session.scalars(select(JobRow.foreign_id))).all() == ["good"]


async def found(database: Database, engine_id: str) -> JobRow:
    async with asyncio.timeout(10):
        while True:
            async with database.transaction(SYSTEM) as session:
                if row := await session.scalar(select(JobRow).where(JobRow.foreign_id == engine_id)):
                    return row
            await asyncio.sleep(0.02)
