"""Suspects side by side: as many as there are wards, each ward with one at a time."""

import asyncio
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import pytest

from app.core.ids import new_id
from app.queues import wards as wards_module
from app.queues.quarantine import Quarantine
from app.queues.runner import Outcome
from app.queues.wards import AT_ONCE, Wards


class Ward:
    """Knows who is in it, and lets them go when they may."""

    def __init__(self) -> None:
        self.inside: UUID | None = None
        self.had = 0
        self.leave = asyncio.Event()
        self.closed = False

    async def attempt(self, job_id: UUID, _: int) -> Outcome:
        assert self.inside is None, "two in one ward"
        self.inside, self.had = job_id, self.had + 1
        self.leave.clear()
        try:
            await self.leave.wait()
        finally:
            self.inside = None
        return Outcome(None)

    async def close(self) -> None:
        self.closed = True


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_suspects_that_wait_long_get_wards_of_their_own_until_there_is_none_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wards_module, "GROW_S", 0.01)
    built: list[Ward] = []

    def make() -> Quarantine:
        built.append(Ward())
        return cast("Any", built[-1])

    wards = Wards(make)
    tasks = [asyncio.create_task(wards.attempt(new_id(), 0)) for _ in range(AT_ONCE + 1)]
    await until(lambda: all(ward.inside for ward in built))
    # One gives up; the last in the line gets its ward.
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    await until(lambda: sum(ward.had for ward in built) == AT_ONCE + 1)
    for ward in built:
        ward.leave.set()
    await asyncio.gather(*tasks[1:])
    await wards.close()
    assert all(ward.closed for ward in built)


async def test_short_suspects_need_one_ward_only() -> None:
    built: list[Ward] = []

    def make() -> Quarantine:
        built.append(Ward())
        return cast("Any", built[-1])

    wards = Wards(make)
    tasks = [asyncio.create_task(wards.attempt(new_id(), 0)) for _ in range(3)]
    for _ in tasks:
        await until(lambda: any(ward.inside for ward in built))
        inside = next(ward for ward in built if ward.inside)
        inside.leave.set()
        await until(lambda ward=inside, had=inside.had: not ward.inside or ward.had > had)  # type: ignore[misc]
    await asyncio.gather(*tasks)
    assert sorted(ward.had for ward in built) == [0] * (AT_ONCE - 1) + [3]
