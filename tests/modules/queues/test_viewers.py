"""Many who look at the queues cost what one costs, and nobody is shown what was before a change."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import pytest
from httpx2 import AsyncClient
from litestar import Litestar

from app.core.database import Plane, Scope
from app.core.ids import PLATFORM_TENANT
from app.core.live import PACE_S, QUEUED_PER_VIEWER, Hub, Signal, Viewer
from app.core.policy import Actor
from app.core.snapshot import EVERYTHING, Snapshots

OWNER = Scope(Plane.PLATFORM)
PAGE = "/dashboard/owner/queues"
VIEWERS = 50


class Silent:
    """A broker that a test speaks for."""

    async def publish(self, messages: Any) -> None: ...

    async def listen(self, receive: Any, joined: Any = None) -> None: ...


class Source:
    """Something that is read: it holds a reading until it may end, and says how many there were."""

    def __init__(self) -> None:
        self.state, self.loads = "before", 0
        self.began, self.may_end = asyncio.Event(), asyncio.Event()
        self.may_end.set()

    async def load(self) -> str:
        self.loads += 1
        found = self.state
        self.began.set()
        await self.may_end.wait()
        if found == "broken":
            raise ConnectionError(found)
        return found


def said(topic: str, id_: str, tenant: UUID = PLATFORM_TENANT) -> bytes:
    return msgspec.json.encode(Signal(topic, id_, tenant))


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
    hub._receive(said("queues", "ai:content"))
    before = await commands(app)
    answers = await asyncio.gather(*(viewer.get(PAGE) for _ in range(VIEWERS)))
    assert {answer.status_code for answer in answers} == {200}
    assert await commands(app) - before == for_one
    assert (await viewer.get(PAGE, headers={"Cache-Control": "no-cache"})).status_code == 200
    assert await commands(app) - before == 2 * for_one


@pytest.mark.parametrize("path", ["/dashboard/owner/cards/queues-card", f"{PAGE}/ai:content/jobs"])
async def test_the_card_and_the_head_of_a_queue_cost_one_reading_too(
    path: str, app: Litestar, viewer: AsyncClient
) -> None:
    hub: Hub = app.state.hub
    hub._receive(said("queues", "ai:content"))
    before = await commands(app)
    assert (await viewer.get(path)).status_code == 200
    for_one = await commands(app) - before
    assert for_one > 0
    hub._receive(said("queues", "ai:content"))
    before = await commands(app)
    answers = await asyncio.gather(*(viewer.get(path) for _ in range(VIEWERS)))
    assert {answer.status_code for answer in answers} == {200}
    assert await commands(app) - before == for_one
    assert (await viewer.post("/api/owner/queues/ai:content/pause")).status_code < 300
    assert "aused" in (await viewer.get(path)).text


async def test_how_the_platform_fares_is_read_once_for_all_who_look(app: Litestar, viewer: AsyncClient) -> None:
    path = "/dashboard/owner/signs"
    before = await commands(app)
    answers = await asyncio.gather(*(viewer.get(path) for _ in range(VIEWERS)))
    assert {answer.status_code for answer in answers} == {200}
    for_all = await commands(app) - before
    app.state.hub._receive(said("queues", "ai:content"))
    before = await commands(app)
    assert (await viewer.get(path)).status_code == 200
    assert await commands(app) - before == for_all > 0, "after a signal it is read anew"
    before = await commands(app)
    assert (await viewer.get(path, headers={"Cache-Control": "no-cache"})).status_code == 200
    assert await commands(app) - before == for_all


async def test_who_changed_a_queue_sees_it_changed(viewer: AsyncClient) -> None:
    assert "paused" not in (await viewer.get(PAGE)).text
    assert (await viewer.post("/api/owner/queues/ai:seo/pause", json={"reason": "try"})).status_code < 300
    assert "paused" in (await viewer.get(PAGE)).text
    assert (await viewer.post("/api/owner/queues/ai:seo/resume")).status_code < 300
    assert "paused" not in (await viewer.get(PAGE)).text


async def test_each_process_reads_anew_as_soon_as_it_is_told_of_a_change() -> None:
    hubs = [Hub(Silent()), Hub(Silent())]
    both, source = [Snapshots(hub) for hub in hubs], Source()

    async def read() -> list[str]:
        return [await one.read("things", OWNER, "things", source.load) for one in both]

    assert await read() == ["before"] * 2
    source.state = "after"
    for hub in hubs:
        hub._receive(said("others", "1"))
    assert (await read(), source.loads) == (["before"] * 2, 2)
    for hub in hubs:
        hub._receive(said("things", "1"))
    assert (await read(), source.loads) == (["after"] * 2, 4), "no beat of the viewers was waited for"
    assert await read() == ["after"] * 2
    assert source.loads == 4
    hubs[0]._joined()
    await read()
    assert source.loads == 5, "what was said while nobody listened may have been missed"
    assert await both[0].read("things", Scope(Plane.TENANT), "things", source.load) == "after"
    assert source.loads == 6, "a tenant never gets the platform's reading"


@pytest.mark.parametrize("tag", ["things", EVERYTHING])
async def test_what_is_dropped_while_it_is_read_is_read_again(tag: str) -> None:
    snapshots, source = Snapshots(Hub(Silent())), Source()

    def read() -> asyncio.Task[str]:
        return asyncio.create_task(snapshots.read("things", OWNER, "things", source.load))

    source.may_end.clear()
    first = read()
    await source.began.wait()
    source.state = "after"
    snapshots.forget([tag, "teknav:test:some:key"])
    second = read()
    source.may_end.set()
    assert await asyncio.gather(first, second) == ["before", "after"]
    assert (await read(), source.loads) == ("after", 2)
    assert set(snapshots._dropped) == {"things"}, "keys are not remembered"


async def test_one_reading_that_fails_fails_for_all_who_wait_for_it_and_for_nobody_else() -> None:
    snapshots, source = Snapshots(Hub(Silent())), Source()
    source.state = "broken"
    source.may_end.clear()
    asking = [asyncio.create_task(snapshots.read("things", OWNER, "things", source.load)) for _ in range(20)]
    await source.began.wait()
    await asyncio.sleep(0)
    source.may_end.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(answer) for answer in answers} == {ConnectionError}
    assert source.loads == 1
    source.state = "whole"
    assert await snapshots.read("things", OWNER, "things", source.load) == "whole"


async def test_a_viewer_hears_of_every_topic_however_much_happens_at_once(operator: Actor) -> None:
    hub = Hub(Silent())
    viewer = Viewer(operator, frozenset({"audit", "queues"}))
    hub._viewers.add(viewer)
    hub._receive(said("audit", "1"))
    assert await viewer.signals.get() == Signal("audit", "1", PLATFORM_TENANT), "one says what has changed"
    hub._receive(said("audit", "2"))
    for number in range(100):
        hub._receive(said("queues", "ai:content", UUID(int=number)))
        hub._receive(said("queues", f"other:{number}", UUID(int=number)))
    heard = [await viewer.signals.get() for _ in range(2)]
    assert {(signal.topic, signal.id) for signal in heard if signal} == {("audit", ""), ("queues", "")}
    viewer.offer([Signal("audit", "3", PLATFORM_TENANT)])
    viewer.offer(Signal("queues", str(number), PLATFORM_TENANT) for number in range(QUEUED_PER_VIEWER))
    assert {signal.topic for signal in viewer.signals._queue} == {"audit", "queues"}  # type: ignore[attr-defined]


async def test_who_has_lost_a_right_hears_of_nothing_that_comes_after_it(operator: Actor) -> None:
    hub, allowed = Hub(Silent()), [True]

    async def still_allowed() -> bool:
        return allowed[0]

    stream = hub.stream(Viewer(operator, frozenset({"articles"})), still_allowed)
    await anext(stream)
    hub._receive(said("articles", "1"))
    assert '"id":"1"' in str((await anext(stream)).data)
    allowed[0] = False
    hub._receive(said("users", "banned"))
    hub._receive(said("articles", "2"))
    async with asyncio.timeout(5):
        assert [message async for message in stream] == []


async def test_after_a_gap_in_the_subscription_every_browser_asks_again(operator: Actor) -> None:
    hub = Hub(Silent())
    viewer = Viewer(operator, frozenset({"queues"}))

    async def allowed() -> bool:
        return True

    stream = hub.stream(viewer, allowed)
    await anext(stream)
    viewer.offer(Signal("queues", str(number), PLATFORM_TENANT) for number in range(QUEUED_PER_VIEWER))
    hub._joined()
    async with asyncio.timeout(5):
        assert [message async for message in stream] == []
    assert not hub._viewers


async def test_signals_leave_together_at_the_browsers_pace_and_the_last_is_never_missed(
    operator: Actor,
) -> None:
    hub = Hub(Silent())
    viewer = Viewer(operator, frozenset({"queues"}))
    hub._viewers.add(viewer)
    loop = asyncio.get_running_loop()
    began = loop.time()
    hub._receive(said("queues", "0"))
    assert (await viewer.signals.get()).id == "0"  # type: ignore[union-attr]
    assert loop.time() - began < PACE_S / 2, "the first leaves at once"
    for number in (1, 2, 2, 3):
        hub._receive(said("queues", str(number)))
    heard = [await viewer.signals.get() for _ in range(3)]
    assert [signal.id for signal in heard if signal] == ["1", "2", "3"]
    assert loop.time() - began >= PACE_S * 0.9
