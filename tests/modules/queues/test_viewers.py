"""Many who look at the queues cost what one costs, and nobody is shown what was before a change."""

import asyncio
from typing import Any

import pytest
from httpx2 import AsyncClient
from litestar import Litestar

from app.core.live import PACE_S, Hub, Viewer
from app.core.policy import Actor

PAGE = "/dashboard/owner/queues"
VIEWERS = 50


@pytest.fixture
def viewer(owner: AsyncClient) -> AsyncClient:
    """The owner, who does not ask past what is kept."""
    del owner.headers["Cache-Control"]
    return owner


async def commands(app: Litestar) -> int:
    """How many commands of one reading of the queues Redis itself has counted; nothing else sends this one."""
    found: dict[str, Any] = await app.state.process.queue_redis.info("commandstats")
    return int(found.get("cmdstat_zcount", {"calls": 0})["calls"])


async def test_fifty_viewers_cost_redis_one_reading(app: Litestar, viewer: AsyncClient) -> None:
    hub: Hub = app.state.hub
    before = await commands(app)
    assert (await viewer.get(PAGE)).status_code == 200
    for_one = await commands(app) - before
    assert for_one > 0
    hub._receive(b'{"topic":"queues","id":"ai:content","tenant":"00000000-0000-7000-8000-000000000000"}')
    await beat(hub)
    before = await commands(app)
    answers = await asyncio.gather(*(viewer.get(PAGE) for _ in range(VIEWERS)))
    assert {answer.status_code for answer in answers} == {200}
    assert await commands(app) - before == for_one
    assert (await viewer.get(PAGE, headers={"Cache-Control": "no-cache"})).status_code == 200
    assert await commands(app) - before == 2 * for_one


async def test_who_changed_a_queue_sees_it_changed(viewer: AsyncClient) -> None:
    assert "paused" not in (await viewer.get(PAGE)).text
    assert (await viewer.post("/api/owner/queues/ai:seo/pause", json={"reason": "try"})).status_code < 300
    assert "paused" in (await viewer.get(PAGE)).text
    assert (await viewer.post("/api/owner/queues/ai:seo/resume")).status_code < 300
    assert "paused" not in (await viewer.get(PAGE)).text


async def test_signals_leave_together_at_the_browsers_pace_and_the_last_is_never_missed(
    operator: Actor,
) -> None:
    class Silent:
        async def publish(self, messages: Any) -> None: ...

        async def listen(self, receive: Any) -> None: ...

    hub = Hub(Silent())
    viewer = Viewer(operator, frozenset({"queues"}))
    hub._viewers.add(viewer)
    say = b'{"topic":"queues","id":"%d","tenant":"00000000-0000-7000-8000-000000000000"}'
    loop = asyncio.get_running_loop()
    began = loop.time()
    hub._receive(say % 0)
    assert (await viewer.signals.get()).id == "0"  # type: ignore[union-attr]
    assert loop.time() - began < PACE_S / 2, "the first leaves at once"
    for number in (1, 2, 2, 3):
        hub._receive(say % number)
    heard = [await viewer.signals.get() for _ in range(3)]
    assert [signal.id for signal in heard if signal] == ["1", "2", "3"]
    assert (hub.beats, loop.time() - began >= PACE_S * 0.9) == (2, True)


async def beat(hub: Hub) -> None:
    """Until signals have left for viewers."""
    now = hub.beats
    async with asyncio.timeout(5):
        while hub.beats == now:
            await asyncio.sleep(0.01)
