"""Live signals: "run 7 changed", never HTML. One subscription per process, shared by every viewer."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import msgspec
import structlog
from litestar import Request, get
from litestar.params import FromQuery
from litestar.response import ServerSentEvent, ServerSentEventMessage
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, after_commit
from app.core.direct import Direct
from app.core.errors import Invalid, Problem
from app.core.policy import SIGNED_IN, Actor, Permission, Policy, actor_of

log = structlog.get_logger()
PING_S = 15
PACE_S = 1.0
"""Signals leave for viewers together, at most this often: the browsers' own pace, and so all of them ask at once."""
MOST_STREAMS = 50
RIGHTS = frozenset({"users", "members", "roles", "tenants"})
"""Topics of changes after which somebody may have lost a right."""
QUEUED_PER_VIEWER = 64


class TooMany(Problem):
    status, code, title = 429, "too_many_streams", "Too many live streams are open: close some tabs"


class Signal(msgspec.Struct, frozen=True):
    """Something changed. `id` says what, where one thing changed; `tenant` decides who hears of it."""

    topic: str
    id: str
    tenant: UUID


@dataclass(frozen=True, slots=True)
class Topic:
    """What can be followed, and the permission that following it takes."""

    name: str
    permission: Permission


class Broker(Protocol):
    """The port that the Redis service fills."""

    async def publish(self, messages: Sequence[bytes]) -> None:
        """Best effort, and bounded in time."""

    async def listen(self, receive: Callable[[bytes], None], joined: Callable[[], None] | None = None) -> None:
        """Call `receive` for each message, for ever; reconnects by itself, and calls `joined` each time it has."""


class Viewer:
    """One open stream. A slow one is told less exactly what has changed, and never holds up the others."""

    def __init__(self, actor: Actor, topics: frozenset[str]) -> None:
        self.actor = actor
        self._topics = topics
        self.signals: asyncio.Queue[Signal | None] = asyncio.Queue(QUEUED_PER_VIEWER)

    def offer(self, signals: Iterable[Signal]) -> None:
        """Queue those that the viewer may hear of; where they are many, one for each topic, with no id."""
        mine = {
            (signal.topic, signal.id): signal
            for signal in signals
            if signal.topic in self._topics
            and (self.actor.plane is Plane.PLATFORM or signal.tenant == self.actor.tenant_id)
        }
        if len(mine) > self.signals.maxsize - self.signals.qsize():
            while not self.signals.empty():
                waiting = self.signals.get_nowait()
                if waiting is None:  # the stream ends, and nothing after that is heard
                    self.signals.put_nowait(None)
                    return
                mine[waiting.topic, waiting.id] = waiting
            mine = {(signal.topic, ""): Signal(signal.topic, "", signal.tenant) for signal in mine.values()}
        for signal in mine.values():
            self.signals.put_nowait(signal)

    def end(self) -> None:
        """The stream ends, whatever still waits in it."""
        while not self.signals.empty():
            self.signals.get_nowait()
        self.signals.put_nowait(None)


class Hub:
    """All streams of one process."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._viewers: set[Viewer] = set()
        self._closed = False
        self._waiting: dict[Signal, None] = {}
        self._left_at = 0.0
        self.topics: dict[str, Topic] = {}
        self._heard_at: dict[str, float] = {}
        self._joined_at = 0.0

    async def run(self) -> None:
        await self._broker.listen(self._receive, self._joined)

    def heard(self, topic: str) -> float:
        """When this process was last told of a change, by `time.monotonic()`, or last may have missed being told."""
        return max(self._heard_at.get(topic, 0.0), self._joined_at)

    def _joined(self) -> None:
        # What was said while nobody listened is lost: browsers come back, and then they ask for all.
        self._joined_at = time.monotonic()
        self._end_streams()

    def _receive(self, message: bytes) -> None:
        try:
            signal = msgspec.json.decode(message, type=Signal)
        except msgspec.DecodeError:
            log.warning("live.bad_message", size=len(message))
            return
        self._heard_at[signal.topic] = time.monotonic()
        if not self._waiting:
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._left_at + PACE_S), self._leave)
        self._waiting[signal] = None

    def _leave(self) -> None:
        self._left_at = asyncio.get_running_loop().time()
        waiting, self._waiting = self._waiting, {}
        for viewer in self._viewers:
            viewer.offer(waiting)

    def close(self) -> None:
        """End every stream, so that the server can stop; browsers come back by themselves."""
        self._closed = True
        self._end_streams()

    def _end_streams(self) -> None:
        for viewer in self._viewers:
            viewer.end()

    def admit(self, viewer: Viewer) -> None:
        """
        Raises:
            TooMany: one actor holds MOST_STREAMS open already.
        """
        if sum(each.actor.id == viewer.actor.id for each in self._viewers) >= MOST_STREAMS:
            raise TooMany

    async def stream(
        self, viewer: Viewer, still_allowed: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[ServerSentEventMessage, None]:
        """Signals, until the server stops or the viewer may not follow any more.

        That is asked every PING_S, and before the next signal after somebody's rights have changed.
        """
        asked = time.monotonic()
        self._viewers.add(viewer)
        try:
            # data=None: the default would send an empty event.
            yield ServerSentEventMessage(data=None, comment="open", retry=2000)
            while not self._closed:
                if time.monotonic() - asked >= PING_S:
                    asked = time.monotonic()
                    if not await still_allowed():
                        return
                try:
                    async with asyncio.timeout(PING_S):
                        signal = await viewer.signals.get()
                except TimeoutError:
                    yield ServerSentEventMessage(data=None, comment=f"ping {int(time.time())}")
                    continue
                if signal is None:
                    return
                if asked <= max(self._heard_at.get(topic, 0.0) for topic in RIGHTS):
                    asked = time.monotonic()
                    if not await still_allowed():
                        return
                yield ServerSentEventMessage(
                    data=msgspec.json.encode({"topic": signal.topic, "id": signal.id}).decode(), event="signal"
                )
        finally:
            self._viewers.discard(viewer)


def signal(session: AsyncSession | Direct, topic: str, id_: object, tenant: UUID) -> None:
    """Announce a change once this transaction has committed; all of a transaction leave together, each once."""
    broker: Broker | None = session.info.get("broker")
    if broker is None:
        return
    announced: dict[Signal, None] | None = session.info.get("signals")
    if announced is None:
        waiting: dict[Signal, None] = {}
        announced = session.info["signals"] = waiting
        after_commit(session, lambda: broker.publish([msgspec.json.encode(item) for item in waiting]))
    announced[Signal(topic, str(id_), tenant)] = None


@get(
    ["/dashboard/live", "/dashboard/t/{slug:str}/live"],
    permission=SIGNED_IN,
    include_in_schema=False,
    uncompressed=True,
)
async def live(request: Request[Any, Any, Any], topics: FromQuery[str]) -> ServerSentEvent:
    """The stream of signals on `topics` (names with commas between) that the viewer may follow."""
    hub: Hub = request.app.state.hub
    actor = actor_of(request)
    assert actor is not None  # SIGNED_IN
    asked = [name for name in topics.split(",") if name]
    unknown = [name for name in asked if name not in hub.topics]
    if unknown or not asked:
        raise Invalid.field("topics", f"unknown: {', '.join(unknown) or 'none given'}")
    allowed = frozenset(name for name in asked if actor.may(hub.topics[name].permission))
    policy: Policy = request.app.state.policy

    async def still_allowed() -> bool:
        try:
            now = await policy.actor(request)
        except Problem:  # the tenant was suspended, for one
            return False
        return now is not None and all(now.may(hub.topics[name].permission) for name in allowed)

    viewer = Viewer(actor, allowed)
    hub.admit(viewer)
    return ServerSentEvent(hub.stream(viewer, still_allowed))
