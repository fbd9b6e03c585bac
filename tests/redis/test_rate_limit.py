"""The rate limiter against a real Valkey, a frozen one, and none."""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from litestar import Litestar
from structlog.testing import capture_logs

from app.core.ids import new_id
from app.core.limits import Window
from app.core.settings import Settings
from app.redis import rate_limit
from app.redis.connection import HASTY_S, hasty
from app.redis.rate_limit import Alone, RateLimiter
from tests.redis.proxy import Proxy

HOUR = Window(1_000, 3600.0)
NOBODY = "redis://127.0.0.1:1/0"
Make = Callable[..., RateLimiter]


@pytest.fixture
async def make(app: Litestar, settings: Settings) -> Any:
    links = []

    def made(url: str = settings.redis_url) -> RateLimiter:
        links.append(hasty(url))
        return RateLimiter(links[-1], settings.queue_prefix)

    yield made
    for link in links:
        await link.aclose()


@pytest.mark.promise("S4-43", "S0-44")
async def test_four_processes_together_let_through_exactly_the_limit(settings: Settings, app: Litestar) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.redis.programs.taking", settings.redis_url, "owner:192.0.2.1", "50",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    for process in processes:
        assert process.stdin and process.stdout
        assert await process.stdout.readline() == b"ready\n"
    for process in processes:
        process.stdin.write(b"go\n")  # type: ignore[union-attr]
    allowed = [int((await process.communicate())[0]) for process in processes]
    assert sum(allowed) == 60, allowed


async def test_no_stretch_of_the_windows_length_ever_sees_more_than_the_limit(make: Make) -> None:
    limiter, window = make(), Window(10, 0.3)
    let_through: list[tuple[float, float]] = []
    began = time.monotonic()
    async with asyncio.timeout(10):
        while time.monotonic() - began < 1.5:
            asked = time.monotonic()
            verdict = await limiter.take("busy", (window,))
            if verdict.allowed:
                let_through.append((asked, time.monotonic()))
            else:
                assert 0 < verdict.retry_after_s <= window.per_s
    spans = [later[1] - sooner[0] for sooner, later in zip(let_through, let_through[window.most :], strict=False)]
    assert len(spans) >= 2 * window.most, "it goes on after each window"
    assert min(spans) >= window.per_s - 0.002


async def test_a_call_counts_against_all_windows_or_against_none(make: Make) -> None:
    limiter, minute = make(), Window(5, 60.0)
    for left in (4, 3, 2, 1, 0):
        verdict = await limiter.take("one", (minute, HOUR))
        assert (verdict.allowed, verdict.limit, verdict.remaining) == (True, 5, left)
        assert 59 < verdict.reset_s <= 60
    refused = await make().take("one", (minute, HOUR))
    assert (refused.allowed, refused.limit, refused.remaining) == (False, 5, 0)
    assert 59 < refused.retry_after_s <= refused.reset_s <= 60
    assert (await limiter.take("one", (HOUR,))).remaining == 1_000 - 6, "what the minute refused the hour did not count"
    assert (await limiter.take("two", (minute, HOUR))).remaining == 4


async def test_a_dear_call_needs_its_whole_price_and_a_cheap_one_may_still_pass(make: Make) -> None:
    limiter, minute = make(), Window(10, 60.0)
    assert (await limiter.take("one", (minute,), 8)).remaining == 2
    assert not (await limiter.take("one", (minute,), 5)).allowed
    assert (await limiter.take("one", (minute,), 2)).allowed
    assert (await limiter.take("other", (minute,), 50)).remaining == 0, "dearer than the window: all of it"


async def test_a_refusal_says_when_there_is_room_again(make: Make) -> None:
    limiter, window = make(), Window(1, 0.4)
    assert (await limiter.take("one", (window,))).allowed
    refused, began = await limiter.take("one", (window,)), time.monotonic()
    assert limiter.refused("one") is not None
    assert limiter.refused("two") is None
    async with asyncio.timeout(5):
        while not (await limiter.take("one", (window,))).allowed:
            await asyncio.sleep(0.005)
    assert refused.retry_after_s - 0.02 <= time.monotonic() - began < refused.retry_after_s + 1
    assert limiter.refused("one") is None


async def test_a_caller_costs_redis_little_and_goes_with_its_window(make: Make, app: Litestar) -> None:
    redis = app.state.process.queue_redis
    for _ in range(300):
        await make().take("one", (Window(1_000, 0.5), HOUR))
    keys = await redis.keys("*limits*")
    assert len(keys) == 2
    assert {key.partition("{")[2].partition("}")[0] for key in keys} == {"teknav-test"}, "the queues' slot"
    for key in keys:
        assert await redis.hlen(key) <= rate_limit.PARTS + 1
        assert 0 < await redis.pttl(key) <= 3_600_000


@pytest.mark.promise("S4-44")
async def test_without_redis_each_process_counts_alone_and_says_so_once(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = make(NOBODY)
    monkeypatch.setattr(rate_limit, "REMEMBERED", 50)
    with capture_logs() as logs:
        verdicts = [await limiter.take("one", (Window(5, 60.0), HOUR)) for _ in range(7)]
        for number in range(200):
            await limiter.take(f"caller {number}", (Window(1, 60.0),))
            await limiter.take(f"caller {number}", (Window(1, 60.0),))
    assert [verdict.remaining for verdict in verdicts] == [4, 3, 2, 1, 0, 0, 0]
    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False] * 2
    assert 59 < verdicts[-1].retry_after_s <= verdicts[-1].reset_s <= 60
    assert [line["event"] for line in logs] == ["rate_limit.each_process_alone"]
    assert len(limiter._alone._counts) <= 50
    assert len(limiter._refused) <= 50


@pytest.mark.promise("S4-44")
async def test_a_frozen_redis_holds_nobody_up_and_counts_again_once_it_thaws(make: Make, settings: Settings) -> None:
    parts = urlsplit(settings.redis_url)
    proxy = Proxy(str(parts.hostname), int(parts.port or 0))
    async with proxy.listening() as port:
        limiter = make(f"redis://:{parts.password}@127.0.0.1:{port}/0")
        assert (await limiter.take("one", (HOUR,))).remaining == 999
        proxy.thawed.clear()
        began = time.perf_counter()
        verdicts = [await limiter.take("one", (HOUR,)) for _ in range(20)]
        assert all(verdict.allowed for verdict in verdicts)
        assert time.perf_counter() - began < HASTY_S * 8
        proxy.thawed.set()
        async with asyncio.timeout(10):
            while (await limiter.take("one", (HOUR,))).limit and limiter._away:
                await asyncio.sleep(0.02)
        assert (await limiter.take("one", (HOUR,))).allowed


@effort(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    costs=st.lists(st.integers(1, 7), min_size=1, max_size=25),
    mosts=st.lists(st.integers(1, 40), min_size=1, max_size=3),
)
async def test_alone_it_counts_as_the_script_does(make: Make, costs: list[int], mosts: list[int]) -> None:
    windows = [Window(most, 3600.0 * number) for number, most in enumerate(mosts, start=1)]
    limiter, alone, who = make(), Alone(), str(new_id())
    for cost in costs:
        limiter._refused.clear()
        theirs, ours = await limiter.take(who, windows, cost), alone.take(who, windows, cost)
        assert (theirs.allowed, theirs.limit, theirs.remaining) == (ours.allowed, ours.limit, ours.remaining)
        assert theirs.retry_after_s == pytest.approx(ours.retry_after_s, abs=5)
        assert theirs.reset_s == pytest.approx(ours.reset_s, abs=5)
