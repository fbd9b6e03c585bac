"""Who may use a kept value, who waits for a load, and who loads: decided in memory, in this process, and by Redis."""

import asyncio
import random
import time
from collections.abc import Awaitable, Collection, Coroutine
from typing import Any, NamedTuple, TypeVar

import structlog

from app.core.settings import Settings
from app.core.snapshot import EVERYTHING
from app.redis.cached import Place
from app.redis.codec import MOST_BYTES, new_mark, pack
from app.redis.figures import Figures
from app.redis.flight import Failed, Flight
from app.redis.health import FAILURES, Health
from app.redis.memory import Kept, Memory
from app.redis.store import Reading, Store

log = structlog.get_logger()
T = TypeVar("T")
JITTER, DUE_AFTER = 0.1, 0.8
POLL_S, KEEP_BACK_S, AGAIN_S = 0.015, 0.06, 0.5
IN_VAIN = object()
"""Redis was asked and did not do it."""


class Claim(NamedTuple):
    """What is there, and whether the caller is to load it: with a value beside the flight, ahead of its expiry.

    Neither means that the load of somebody else failed, and the caller looks for itself.
    """

    kept: Kept | None
    flight: Flight | None


class Claims:
    """The flights of one process."""

    def __init__(self, store: Store, health: Health, settings: Settings) -> None:
        self.memory = Memory()
        self.figures = Figures()
        self._store, self._health, self._settings = store, health, settings
        self._flights: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def claim(self, place: Place[Any]) -> Claim:
        """A value, or the right to load it; who gets a flight has to `land` it, `fail` it or `give_up`."""
        key, kind = place.key(self._settings), place.kind.name
        while True:
            kept = self.memory.get(key)
            flight = self._flights.get(key)
            if kept is not None and (flight is not None or time.monotonic() < kept.due):
                self.figures.count(kind, "local")
                return Claim(kept, None)
            if flight is None:
                return await self._claim_from_redis(place, key)
            end = await flight.wait()
            if isinstance(end, Kept):
                self.figures.count(kind, "shared")
                return Claim(end, None)
            if isinstance(end, Failed):
                if end.cause is not None:
                    raise end.cause
                return Claim(None, None)

    async def land(self, place: Place[Any], flight: Flight, body: bytes) -> None:
        """Hand the loaded value to all who wait, and keep it, unless it was dropped since the load began."""
        self.figures.loaded(place.kind.name, flight.key, time.monotonic() - flight.handed)
        kept, life_ms = self.made(body, flight, place)
        current = self._flights.get(flight.key) is flight
        if current:
            self.memory.put(flight.key, kept, place.tags)
        self._end(flight, kept)
        if flight.token is None:
            return
        if not current:
            self.soon(self._release(flight))
            return
        packed = pack(body, life_ms, flight.marks)
        if self.too_large(packed, place):
            await self.spend(flight, self._store.give_way(flight.key, flight.token))  # an older value is none any more
            return
        self.figures.count(place.kind.name, "stored")
        self.figures.count(place.kind.name, "bytes", len(packed))
        await self.spend(flight, self._store.put(flight.key, packed, life_ms, flight.token))

    def fail(self, place: Place[Any], flight: Flight, cause: BaseException | None = None) -> None:
        """The load failed. Those who wait get `cause`, or without one look for themselves."""
        self.figures.count(place.kind.name, "failed")
        self._end(flight, Failed(cause))
        self.soon(self._release(flight))

    def give_up(self, flight: Flight) -> None:
        """The caller goes; somebody else who waits takes over."""
        if not flight.ended:
            self._end(flight, None)
            self.soon(self._release(flight))

    def drop(self, names: Collection[str]) -> None:
        """Tags and keys, in this process; who asks from now on does not join a load that began before."""
        if EVERYTHING in names:
            self.memory.clear()
            self._flights.clear()
            return
        self.memory.drop(names)
        for key, flight in [*self._flights.items()]:
            if key in names or not flight.tags.isdisjoint(names):
                del self._flights[key]

    async def read(self, place: Place[Any], flight: Flight) -> Reading | None:
        """None where Redis does not serve."""
        if not self._health.ok:
            return None
        reading = await self.spend(flight, self._store.read(flight.key, place.tags))
        if reading is IN_VAIN:
            return None
        if reading.unreadable:
            self.figures.count(place.kind.name, "unreadable")
        return reading  # type: ignore[no-any-return]

    async def spend(self, flight: Flight, call: Awaitable[Any]) -> Any:
        """Ask Redis, within what is left of this request's time for it."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(max(flight.left_s, 0.001)):
                return await call
        except FAILURES as error:
            self._health.failed(error)
            return IN_VAIN
        finally:
            flight.spent(time.monotonic() - began)

    def kept(self, reading: Reading, flight: Flight) -> Kept | None:
        if reading.stored is None:
            return None
        now, life_s, left_s = time.monotonic(), reading.stored.life_ms / 1000, reading.left_ms / 1000
        born = now - max(life_s - left_s, 0.0)
        return Kept(reading.stored.body, born, flight.began, born + life_s * DUE_AFTER, now + left_s)

    def made(self, body: bytes, flight: Flight, place: Place[Any]) -> tuple[Kept, int]:
        """A value that was loaded just now, and its life in milliseconds, which differs so that not all end at once."""
        life_s = place.kind.ttl_s * random.uniform(1 - JITTER, 1)  # noqa: S311 - no secret
        now = time.monotonic()
        return Kept(body, now, flight.began, now + life_s * DUE_AFTER, now + life_s), max(int(life_s * 1000), 1)

    def too_large(self, packed: bytes, place: Place[Any]) -> bool:
        if len(packed) > MOST_BYTES:
            self.figures.count(place.kind.name, "too_large")
            return True
        return False

    def soon(self, what: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of its own, which ends with the process at the latest."""
        task = asyncio.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    async def close(self) -> None:
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _claim_from_redis(self, place: Place[Any], key: str) -> Claim:
        kind = place.kind.name
        flight = self._flights[key] = Flight(key, frozenset(place.tags))
        try:
            kept = await self._look_and_lease(place, flight)
        except BaseException:
            self.give_up(flight)
            raise
        flight.handed = time.monotonic()
        if kept is None:
            self.figures.count(kind, "miss")
            return Claim(None, flight)
        self.figures.count(kind, "redis")
        if self._flights.get(key) is flight:
            self.memory.put(key, kept, place.tags)
        if flight.token is None:
            self._end(flight, kept)
            return Claim(kept, None)
        self.figures.count(kind, "early")
        return Claim(kept, flight)

    async def _look_and_lease(self, place: Place[Any], flight: Flight) -> Kept | None:
        """What Redis has. The flight gets the lease where this process is to load: nothing is there, or it is due."""
        token, refused = new_mark(), False
        while (reading := await self.read(place, flight)) is not None:
            flight.marks = reading.marks
            kept = self.kept(reading, flight)
            if kept is not None and (refused or time.monotonic() < kept.due):
                return kept
            if not refused:
                if await self.spend(flight, self._store.lease(flight.key, token)) is True:
                    flight.token = token
                    return kept
                if kept is not None:
                    kept.due = time.monotonic() + AGAIN_S
                    return kept
                refused = True  # another process loads: its value comes soon, or else is not waited for
            if flight.left_s <= KEEP_BACK_S:
                if await self.spend(flight, self._store.lease(flight.key, token, take_over=True)) is True:
                    flight.token = token
                return None
            await asyncio.sleep(POLL_S)
            flight.spent(POLL_S)
        self.figures.count(place.kind.name, "alone")
        return None

    def _end(self, flight: Flight, with_: Kept | Failed | None) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
        flight.end(with_)

    async def _release(self, flight: Flight) -> None:
        if flight.token is not None and self._health.ok:
            await self.spend(flight, self._store.release(flight.key, flight.token))

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("cache.load_failed", error=str(error) or type(error).__name__)
