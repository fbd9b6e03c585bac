"""Suspects side by side: as many as there are wards, each ward with one at a time."""

import asyncio
from typing import Any, cast
from uuid import UUID

from app.core.ids import new_id
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


async def test_suspects_wait_for_each_other_only_when_all_wards_are_taken() -> None:
    built: list[Ward] = []

    def make() -> Quarantine:
        built.append(Ward())
        return cast("Any", built[-1])

    wards = Wards(make)
    tasks = [asyncio.create_task(wards.attempt(new_id(), 0)) for _ in range(AT_ONCE + 1)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert all(ward.inside for ward in built)
    # One gives up; the last in the line gets its ward.
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    await asyncio.sleep(0)
    assert all(ward.inside for ward in built)
    for ward in built:
        ward.leave.set()
    await asyncio.gather(*tasks[1:])
    assert sum(ward.had for ward in built) == AT_ONCE + 1
    await wards.close()
    assert all(ward.closed for ward in built)


async def test_one_suspect_after_the_other_needs_one_process_only() -> None:
    built: list[Ward] = []

    def make() -> Quarantine:
        built.append(Ward())
        return cast("Any", built[-1])

    wards = Wards(make)
    for _ in range(3):
        task = asyncio.create_task(wards.attempt(new_id(), 0))
        await asyncio.sleep(0)
        next(ward for ward in built if ward.inside).leave.set()
        await task
    assert sorted(ward.had for ward in built) == [0] * (AT_ONCE - 1) + [3]
