"""A job is a row of the transaction that wants it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from app.core.database import SYSTEM, Database, Plane, Scope
from app.core.errors import Invalid
from app.core.ids import new_id
from app.queues.engine import Engine
from app.queues.enqueue import enqueue
from app.queues.models import JobRow, State
from app.queues.push import slices
from tests.queues.kinds import PLATFORM, QUICK, Note, Weigh

RowOf = Callable[[UUID], Awaitable[JobRow]]


async def count(database: Database) -> int:
    async with database.transaction(SYSTEM) as session:
        return (await session.scalars(select(func.count()).select_from(JobRow))).one()


@pytest.mark.trap(1)
async def test_a_rolled_back_transaction_leaves_neither_row_nor_push(own_database: Database, engine: Engine) -> None:
    with pytest.raises(RuntimeError, match="on purpose"):
        async with own_database.transaction(PLATFORM) as session:
            await enqueue(session, Note(text="never"))
            raise RuntimeError("on purpose")
    assert await count(own_database) == 0
    assert await engine.client.keys(f"{engine.prefix}:{QUICK.engine_name}:*") == []


async def test_a_commit_pushes_the_job_under_its_own_id(
    own_database: Database, engine: Engine, until_state: Callable[..., Awaitable[JobRow]]
) -> None:
    async with own_database.transaction(PLATFORM) as session:
        job_id = await enqueue(session, Note(text="one"))
    assert await engine.client.lrange(engine.key(QUICK.engine_name, "wait"), 0, -1) == [str(job_id)]
    assert (await until_state(job_id, State.QUEUED)).attempts_made == 0


async def test_the_same_key_gives_the_first_unfinished_job(own_database: Database) -> None:
    async with own_database.transaction(PLATFORM) as session:
        first = await enqueue(session, Note(text="one"), key="k")
    async with own_database.transaction(PLATFORM) as session:
        assert await enqueue(session, Note(text="two"), key="k") == first
        assert await enqueue(session, Note(text="three"), key="other") != first
    assert await count(own_database) == 2


async def test_a_key_of_one_tenant_does_not_hold_up_another(own_database: Database) -> None:
    ids = set()
    for tenant in (new_id(), new_id()):
        async with own_database.transaction(Scope(Plane.TENANT, tenant)) as session:
            ids.add(await enqueue(session, Note(text="x"), key="same"))
    assert len(ids) == 2


async def test_a_later_job_waits_in_redis_as_delayed(own_database: Database, engine: Engine) -> None:
    async with own_database.transaction(PLATFORM) as session:
        job_id = await enqueue(session, Note(text="later"), run_at=datetime.now(UTC) + timedelta(minutes=5))
    assert await engine.client.zscore(engine.key(QUICK.engine_name, "delayed"), str(job_id)) is not None
    counts = (await engine.counts([QUICK.name]))[QUICK.name]
    assert (counts.waiting, counts.delayed, counts.active) == (0, 1, 0)


async def refuse(_: object) -> None:
    raise ConnectionError("nobody listens")


async def hang(_: object) -> None:
    await asyncio.Event().wait()


@pytest.mark.trap(2)
@pytest.mark.parametrize("push", [refuse, hang])
async def test_redis_away_costs_a_request_at_most_its_bound_and_loses_nothing(
    push: Callable[..., Any], own_database: Database, engine: Engine, row_of: RowOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "push", push)
    # Far above the bound, so that a slow machine is no reason, and far below for ever.
    async with asyncio.timeout(10), own_database.transaction(PLATFORM) as session:
        job_id = await enqueue(session, Note(text="kept"))
    assert (await row_of(job_id)).state == State.PENDING


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
async def test_a_payload_that_is_no_json_is_refused_where_it_is_asked_for(
    own_database: Database, engine: Engine, weight: float
) -> None:
    with pytest.raises(Invalid) as refused:
        async with own_database.transaction(PLATFORM) as session:
            await enqueue(session, Weigh(weight=weight))
    assert [error.field for error in refused.value.errors] == ["payload"]
    assert await count(own_database) == 0
    assert await engine.client.keys(f"{engine.prefix}:{QUICK.engine_name}:*") == []


async def test_what_leaves_together_after_a_commit_is_bounded_by_count_and_size() -> None:
    def sizes(*lengths: int) -> list[int]:
        return [len(some) for some in slices([JobRow(payload={"text": "x" * length}) for length in lengths])]

    assert sizes(*[1] * 1001) == [1000, 1]
    assert sizes(600_000, 600_000, 1, 2_000_000, 1, 1) == [1, 2, 1, 2]
    assert sizes(3_000_000) == [1]
    assert sizes() == []
