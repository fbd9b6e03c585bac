"""The clock of a host that is wrong, and the one that all processes share."""

import time

import pytest
from redis.asyncio import Redis

from app.queues.clock import CORRECT_ABOVE_S, Clock

TWO_HOURS_S = 7200


@pytest.mark.parametrize("ahead_s", [TWO_HOURS_S, -TWO_HOURS_S])
async def test_a_clock_that_is_hours_off_goes_by_redis(
    ahead_s: int, worker_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + ahead_s)
    clock = Clock()
    assert abs(await clock.measure(worker_redis) + ahead_s) < 60
    assert abs(clock.now() - right()) < 60


async def test_a_small_difference_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Agreeing:
        async def time(self) -> tuple[int, int]:
            return int(now), round(now % 1 * 1e6)

    now = time.time() + CORRECT_ABOVE_S / 2
    monkeypatch.setattr(time, "time", lambda: now - CORRECT_ABOVE_S / 2)
    clock = Clock()
    assert 0 < await clock.measure(Agreeing()) < CORRECT_ABOVE_S  # type: ignore[arg-type]
    assert clock.offset_s == 0
