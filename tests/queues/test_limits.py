"""Limits hold over all worker processes: here each gate stands for the worker of one process."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from redis.asyncio import Redis

from app.core.ids import new_id
from app.core.settings import Settings
from app.queues import limits
from app.queues.engine import Engine
from app.queues.limits import Gate
from app.queues.models import JobRow, State
from app.queues.spec import Limits, Rate
from app.redis.connection import patient
from tests.queues.kinds import QUICK

A, B = UUID(int=0xA), UUID(int=0xB)
MakeGate = Callable[[Limits], Gate]


@pytest.fixture
async def clients(settings: Settings) -> AsyncGenerator[list[Redis], None]:
    made = [patient(settings.redis_url) for _ in range(4)]
    yield made
    for client in made:
        await client.aclose(close_connection_pool=True)


@pytest.fixture
def gate(clients: list[Redis], engine: Engine) -> MakeGate:
    made = iter(clients)
    return lambda limits: Gate(next(made), engine.key(QUICK.engine_name, ""), limits)


def job(tenant: UUID = A, priority: int = 0) -> JobRow:
    return JobRow(
        id=new_id(), tenant_id=tenant, queue=QUICK.name, kind="note", payload={"text": "x"}, priority=priority,
        state=State.QUEUED, run_at=datetime.now(UTC), max_attempts=3, attempts_made=0, run=0,
    )  # fmt: skip


async def take(gate: Gate, token: str) -> str | None:
    """The id of the job that may start now."""
    return (await gate.fetch(token, round(time.time() * 1000), 10_000))[1] or None


async def finish(engine: Engine, gate: Gate, token: str, job_id: str) -> None:
    await engine.client.lrem(engine.key(QUICK.engine_name, "active"), 1, job_id)
    await gate.release(token)


async def start_all(gate: Gate, name: str, total: int, started: list[float]) -> None:
    """Start jobs as fast as the gate lets, until `total` have been started by all."""
    while len(started) < total:
        answer = await gate.fetch(f"{name}:{len(started)}", round(time.time() * 1000), 10_000)
        if answer[0]:
            started.append(time.monotonic())
        else:
            await asyncio.sleep(max(answer[2], 1) / 1000)


@pytest.mark.trap(4)
@pytest.mark.promise("S0-29", "S0-30")
async def test_a_rate_holds_over_all_processes(engine: Engine, gate: MakeGate) -> None:
    await engine.push([job() for _ in range(60)])
    started: list[float] = []
    gates = [gate(Limits(rate=Rate(20, 1))) for _ in range(4)]
    await asyncio.gather(*(start_all(each, str(n), 60, started) for n, each in enumerate(gates)))
    assert len(started) == 60
    took = max(started) - min(started)
    assert 1.9 < took < 3.3, "20 at once and 20 a second after that"
    # Never more in a second than the bucket holds and what runs into it meanwhile.
    for first in started:
        assert sum(first <= at < first + 0.5 for at in started) <= 20 + 10 + 1


@pytest.mark.promise("S0-30")
async def test_no_more_jobs_run_at_once_than_the_limit_whoever_runs_them(engine: Engine, gate: MakeGate) -> None:
    await engine.push([job() for _ in range(5)])
    one, other = gate(Limits(running=2)), gate(Limits(running=2))
    first, second = await take(one, "1"), await take(other, "2")
    assert first is not None
    assert second is not None
    assert await take(one, "3") is None
    assert await take(other, "3") is None
    await engine.client.delete(engine.key(QUICK.engine_name, "marker"))
    await finish(engine, one, "1", first)
    assert await engine.client.exists(engine.key(QUICK.engine_name, "marker")), "whoever waits is told"
    assert await take(other, "3") is not None
    assert await take(one, "4") is None


async def test_a_tenants_flood_does_not_keep_another_waiting(engine: Engine, gate: MakeGate) -> None:
    flood = [job(A) for _ in range(250)]
    await engine.push(flood)
    quick, limited = job(B), gate(Limits(running_per_tenant=2))
    await engine.push([quick])
    taken = [await take(limited, str(n)) for n in range(8)]
    assert str(quick.id) in taken
    assert [one for one in taken if one and one != str(quick.id)] == [str(row.id) for row in flood[:2]]
    counts = (await engine.counts([QUICK.name]))[QUICK.name]
    assert (counts.waiting, counts.delayed, counts.active) == (248, 0, 3), "parked jobs wait; that is how they count"
    assert set(await engine.places(flood[2:])) == {"here"}, "nobody has to promote them"


async def test_parked_jobs_come_back_in_their_order_and_lose_no_attempt(engine: Engine, gate: MakeGate) -> None:
    flood = [job(A) for _ in range(6)]
    urgent = job(A, priority=1)
    await engine.push([*flood, urgent])
    limited = gate(Limits(running_per_tenant=1))
    order: list[str | None] = []
    token = "first"
    current = await take(limited, token)
    while current is not None:
        order.append(current)
        assert await take(limited, "nobody") is None
        await finish(engine, limited, token, current)
        token = f"next{len(order)}"
        current = await take(limited, token)
    assert len(order) == 7
    assert [one for one in order if one != str(urgent.id)] == [str(row.id) for row in flood]
    for row in flood:
        starts, made = await engine.client.hmget(engine.key(QUICK.engine_name, row.engine_id), "ats", "atm")
        assert (starts, made) == ("1", None)


async def test_the_places_of_a_dead_worker_come_back(
    engine: Engine, gate: MakeGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LEASE_MS", 200)
    await engine.push([job(A), job(A)])
    dead, alive = gate(Limits(running=1, running_per_tenant=1)), gate(Limits(running=1, running_per_tenant=1))
    assert await take(dead, "1") is not None
    answer = await alive.fetch("2", round(time.time() * 1000), 10_000)
    assert not answer[0]
    assert 0 < answer[2] <= 200, "it says when to ask again"
    await dead.renew()
    async with asyncio.timeout(5):
        while await take(alive, "2") is None:
            await alive.wake()
            await asyncio.sleep(0.02)


async def test_a_renewed_place_is_kept(engine: Engine, gate: MakeGate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LEASE_MS", 300)
    await engine.push([job(A), job(A)])
    holder, other = gate(Limits(running=1)), gate(Limits(running=1))
    assert await take(holder, "1") is not None
    until = time.monotonic() + 0.9
    while time.monotonic() < until:
        await holder.renew()
        assert await take(other, "2") is None
        await asyncio.sleep(0.05)


async def test_lifting_a_limit_lets_the_parked_jobs_run(engine: Engine, gate: MakeGate) -> None:
    await engine.push([job(A) for _ in range(30)])
    changing = gate(Limits(running_per_tenant=1))
    assert await take(changing, "1") is not None
    assert await take(changing, "2") is None
    changing.limits = Limits()
    await changing.wake()
    counts = (await engine.counts([QUICK.name]))[QUICK.name]
    assert (counts.waiting, counts.delayed) == (29, 0)
    assert await engine.client.zcard(engine.key(QUICK.engine_name, "delayed")) == 0


async def test_what_was_removed_while_it_was_parked_is_gone(engine: Engine, gate: MakeGate) -> None:
    rows = [job(A) for _ in range(3)]
    await engine.push(rows)
    limited = gate(Limits(running_per_tenant=1))
    first = await take(limited, "1")
    assert first == str(rows[0].id)
    assert await take(limited, "2") is None
    await engine.forget(QUICK.name, rows[1].engine_id)
    await finish(engine, limited, "1", first)
    assert await take(limited, "2") == str(rows[2].id)


async def test_a_paused_queue_stays_paused_whatever_becomes_free(engine: Engine, gate: MakeGate) -> None:
    await engine.push([job(A) for _ in range(3)])
    limited = gate(Limits(running=1))
    first = await take(limited, "1")
    assert first is not None
    await engine.pause(QUICK.name, True)
    await engine.client.delete(engine.key(QUICK.engine_name, "marker"))
    await finish(engine, limited, "1", first)
    assert await take(limited, "2") is None
    assert not await engine.client.exists(engine.key(QUICK.engine_name, "marker"))
