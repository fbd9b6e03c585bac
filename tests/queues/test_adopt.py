"""Jobs that another program put into Redis by BullMQ's own `Queue.add`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

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
from tests.queues.conftest import begin
from tests.queues.kinds import QUICK

RowOf = Callable[[UUID], Awaitable[JobRow]]


async def add(engine: Engine, data: Any, **options: Any) -> bullmq.Job:
    queue = engine.queue(QUICK.engine_name)
    made = await queue.add("note", data, options)
    return await bullmq.Job.fromId(queue, made.id)


async def adopted(database: Database, job: bullmq.Job) -> JobRow:
    async with database.transaction(SYSTEM) as session:
        return await adopt(session, QUICK.name, job)


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
    job = await add(engine, {"text": "x"})
    job.data = data
    assert (await adopted(own_database, job)).payload == {"data": data}
