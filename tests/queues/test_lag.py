"""The loops of the leading process: how they fare is told, and none can hang for ever."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

import pytest
from sqlalchemy import text, update

from app.core.database import SYSTEM, Database
from app.core.ids import new_id
from app.queues import lag, loops
from app.queues.lag import Lags
from app.queues.leader import Leader
from app.queues.loops import Loop, Loops
from app.queues.models import LeaseRow, LoopRow

HANG = asyncio.Event()


@pytest.fixture(autouse=True)
def told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "TELL_EVERY_S", 0.02)
    monkeypatch.setattr(loops, "ASK_AGAIN_S", 0.01)


@asynccontextmanager
async def running(database: Database, *led: Loop) -> AsyncGenerator[Leader, None]:
    leader = Leader(database, new_id())
    task = asyncio.create_task(Loops(leader, led).run())
    try:
        yield leader
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def read(database: Database) -> Lags:
    async with database.transaction(SYSTEM) as session:
        return await lag.read(session)


async def until(database: Database, holds: Callable[[Lags], object]) -> Lags:
    async with asyncio.timeout(10):
        while not holds(found := await read(database)):
            await asyncio.sleep(0.02)
    return found


async def nothing() -> None:
    pass


async def wrong() -> None:
    raise ConnectionError("no way")


def loop(found: Lags, name: str) -> lag.LoopLag:
    return next(one for one in found.loops if one.name == name)


def has(name: str) -> Callable[[Lags], object]:
    return lambda found: name in [one.name for one in found.loops]


async def test_each_loop_tells_when_it_ran_and_how_long_it_took(own_database: Database) -> None:
    async with running(own_database, Loop("relay", 0.5, nothing)) as leader:
        found = await until(own_database, lambda seen: has("relay")(seen) and has("lease")(seen))
    relay = loop(found, "relay")
    assert found.leader == leader.holder
    assert (relay.every_s, relay.error, relay.cut_off, relay.late, relay.failing) == (0.5, None, 0, False, False)
    assert relay.took_ms < 1000 and relay.age_s < 10
    assert found.trouble == ""


async def test_the_last_error_of_a_loop_is_told(own_database: Database) -> None:
    async with running(own_database, Loop("relay", 0.5, wrong)):
        found = await until(own_database, has("relay"))
    relay = loop(found, "relay")
    assert (relay.error, relay.failing) == ("no way", True)
    assert isinstance(relay.error_at, datetime)


async def test_a_round_that_hangs_is_cut_off_and_the_loop_goes_on(own_database: Database) -> None:
    rounds = []

    async def hang() -> None:
        rounds.append(1)
        await HANG.wait()

    async with running(own_database, Loop("stuck", 0.01, hang, limit_s=0.05)):
        found = await until(own_database, lambda seen: has("stuck")(seen) and loop(seen, "stuck").cut_off >= 2)
    assert len(rounds) >= 2
    assert loop(found, "stuck").error == "cut off after 0.05 s"


async def test_a_loop_that_does_not_run_again_is_late(own_database: Database) -> None:
    async with running(own_database, Loop("relay", 0.5, nothing)):
        await until(own_database, has("relay"))
    async with own_database.transaction(SYSTEM) as session:
        long_ago = text("now() - interval '12 seconds'")
        await session.execute(update(LoopRow).where(LoopRow.name == "relay").values(ran_at=long_ago))
    assert (await read(own_database)).late == ["relay"]


async def test_it_is_said_when_nobody_leads(own_database: Database) -> None:
    assert "No worker leads" in (await read(own_database)).trouble
    async with running(own_database, Loop("relay", 0.5, nothing)):
        assert (await until(own_database, has("relay"))).leader is not None
        async with own_database.transaction(SYSTEM) as session:
            await session.execute(update(LeaseRow).values(expires_at=text("now() - interval '1 second'")))
        assert "No worker leads" in (await read(own_database)).trouble


async def test_who_cannot_renew_the_lease_stops_leading(
    own_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "LEASE_EVERY_S", 0.01)
    monkeypatch.setattr(loops, "LEASE_LASTS", loops.LEASE_LASTS / 15)
    rounds: list[int] = []

    async def note() -> None:
        rounds.append(1)

    async with running(own_database, Loop("relay", 0.001, note)) as leader:
        await until(own_database, lambda _: rounds)
        refused = asyncio.Event()

        async def fail() -> bool:
            refused.set()
            raise ConnectionError

        monkeypatch.setattr(leader, "lead", fail)
        await refused.wait()
        async with asyncio.timeout(5):
            seen = -1
            while seen != len(rounds):
                seen = len(rounds)
                await asyncio.sleep(0.1)  # a hundred periods: one that still led would have run in them


async def test_only_the_one_that_leads_is_told_of(own_database: Database) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running(own_database, Loop("relay", 0.01, nothing)))
        await until(own_database, has("relay"))
        await stack.enter_async_context(running(own_database, Loop("relay", 0.01, nothing)))
        for _ in range(3):  # the second has had its turns too, by then
            before = loop(await read(own_database), "relay").ran_at
            await until(own_database, lambda seen, before=before: loop(seen, "relay").ran_at > before)  # type: ignore[misc]
        async with own_database.transaction(SYSTEM) as session:
            row = await session.get(LoopRow, "relay")
            assert row is not None and row.holder == first.holder
