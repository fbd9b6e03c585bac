"""One queue within a worker process: its places for handlers, and the chains of jobs that fill them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from itertools import count

import structlog
from redis.exceptions import RedisError

from app.queues.clock import clock
from app.queues.consumer import (
    Cancelled,
    Consumer,
    Dead,
    Delivery,
    Done,
    HandBack,
    LockLost,
    Refused,
    Retry,
    Verdict,
)

log = structlog.get_logger()
IN_HAND_PER_PLACE = 8
"""A job whose end is being written holds no place; this bounds how many of those there are."""
AGAIN_S = 0.5
SETTLE_TRIES = 3
SHORT_TURNS = 4
"""So many turns of the loop a handler takes that does not wait for anything."""
FOLLOW_TRIES = 5
STUMBLED_S = 2.0

Handle = Callable[[Delivery, Callable[[], None]], Awaitable[Verdict]]
"""Runs a job. The second argument gives the place back early: only the job's end is still to be written."""


class Lane:
    """
    Args:
        places: how many handlers run at once.
        name: of this process, unique; locks carry it.
        uncovered: called when there is room for a job and nobody waits for one.
    """

    def __init__(
        self, consumer: Consumer, places: int, handle: Handle, name: str, uncovered: Callable[[], None]
    ) -> None:
        self.consumer = consumer
        self.handle = handle
        self.free = places
        self.wanted = 0
        """How many jobs have ended and want a place for the next one."""
        self.open = True
        """False: no further job is fetched. Those in hand go on."""
        self.covered = False
        """Whether the process waits for this queue's marker right now."""
        self.flowing = False
        """Whether the last answer held a job, so that there may be another."""
        self.chains: set[Chain] = set()
        self._most_chains = places * IN_HAND_PER_PLACE
        self._name = name
        self._numbers = count(1)
        self._uncovered = uncovered
        self._due: asyncio.Handle | None = None
        self._due_at = 0.0
        # Chains start from it, not from the log context of whatever job happens to make room.
        self._context = copy_context()

    @property
    def has_room(self) -> bool:
        return self.open and self.free > 0 and len(self.chains) < self._most_chains

    def quiet(self) -> None:
        """Fetch no further job."""
        self.open = False
        self.forget_due()

    def handled(self) -> dict[str, Delivery]:
        """What is being worked on, by its token. A job whose end is under way to Redis is not."""
        return {each.token: each for chain in self.chains if chain.handling and (each := chain.delivery) is not None}

    def look(self) -> "Chain | None":
        """Ask for a job, if there is room for one."""
        if not self.has_room:
            return None
        self.free -= 1
        # A token of its own: a copy of a job that was lost and came back must not end the other one.
        chain = Chain(self, f"{self._name}:{next(self._numbers)}")
        self.chains.add(chain)
        chain.task = asyncio.get_running_loop().create_task(chain.run(), context=self._context.copy())
        return chain

    async def take(self) -> bool:
        """A place for the job that comes back with the end of another, which spares Redis a question.

        One group commit lets some jobs begin and others end: those that begin and are short leave their places to
        those that end.
        """
        self.wanted += 1
        try:
            for _ in range(SHORT_TURNS):
                if self.free:
                    break
                await asyncio.sleep(0)
        finally:
            self.wanted -= 1
        if not self.open or self.free == 0:
            return False
        self.free -= 1
        return True

    def room_made(self) -> None:
        if not self.has_room or self.covered or self.free <= self.wanted:
            return
        if self.flowing:
            self.look()
        else:
            self._uncovered()

    def heard(self, delivery: Delivery | None) -> None:
        """What Redis answered to a question for a job."""
        self.flowing = delivery is not None
        if delivery is None and self.consumer.due_at is not None:
            self.look_at(self.consumer.due_at)

    def look_at(self, moment_s: float) -> None:
        """Ask for a job then, in seconds since 1970. Of several moments the earliest counts."""
        loop = asyncio.get_running_loop()
        at = loop.time() + max(0.0, moment_s - clock.now())
        if self._due is not None and self._due_at <= at:
            return
        self.forget_due()
        # The handle does not say when: uvloop's knows nothing of it where the moment has come.
        self._due, self._due_at = loop.call_at(at, self._look_when_due), at

    def forget_due(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _look_when_due(self) -> None:
        self._due = None
        self.look()


class Chain:
    """One job after the other: each comes with the end of the one before, while there is a place for it."""

    def __init__(self, lane: Lane, token: str) -> None:
        self.lane = lane
        self.delivery: Delivery | None = None
        self.answered = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._token = token
        self._holds_place = True
        self.handling = False

    async def run(self) -> None:
        try:
            self.delivery = await self._first()
            self.answered.set()
            while self.delivery is not None:
                self.delivery = await self._settled(self.delivery, await self._handled(self.delivery))
        except Exception:
            # What is in hand stalls, and comes back when its lock has run out.
            log.exception("worker.chain_failed", queue=self.lane.consumer.spec.name)
            self.lane.look_at(clock.now() + AGAIN_S)
        finally:
            self.answered.set()
            self.delivery = None
            self.lane.chains.discard(self)
            if self._holds_place:
                self._leave()
            else:
                self.lane.room_made()

    def interrupt(self) -> None:
        """Cancel the handler, if one is at work."""
        if self.handling and self.task is not None:
            self.task.cancel()

    async def _first(self) -> Delivery | None:
        try:
            delivery = await self.lane.consumer.fetch(self._token)
        except (RedisError, OSError) as error:
            log.warning("worker.fetch_failed", queue=self.lane.consumer.spec.name, error=str(error))
            self.lane.look_at(clock.now() + AGAIN_S)
            return None
        self.lane.heard(delivery)
        return delivery

    def _leave(self) -> None:
        if self._holds_place:
            self._holds_place = False
            self.lane.free += 1
            self.lane.room_made()

    async def _handled(self, delivery: Delivery) -> Verdict:
        """Whatever a handler does ends here: the worse it is, the sooner the job is handed back."""
        task = asyncio.current_task()
        assert task is not None
        self.handling = True
        try:
            return await self.lane.handle(delivery, self._leave)
        except asyncio.CancelledError:
            return HandBack()
        except BaseException as error:
            log.exception("job.handed_back", engine_id=delivery.engine_id, error=str(error) or type(error).__name__)
            return HandBack(STUMBLED_S)
        finally:
            self.handling = False
            while task.cancelling():
                # A request to cancel that nobody has met yet would hit the next job.
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)
                task.uncancel()

    async def _settled(self, delivery: Delivery, verdict: Verdict) -> Delivery | None:
        """Tell Redis, and give back the place among those that the limits count; returns the next job."""
        try:
            return await self._told(delivery, verdict)
        finally:
            try:
                await self.lane.consumer.gate.release(delivery.token)
            except (RedisError, OSError) as error:
                # The place comes back when its lease ends.
                log.warning("job.place_not_released", engine_id=delivery.engine_id, error=str(error))

    async def _told(self, delivery: Delivery, verdict: Verdict) -> Delivery | None:
        """A script that is run again finds that it ran, by the lock's token."""
        for left in reversed(range(SETTLE_TRIES)):
            try:
                return await self._settle(delivery, verdict)
            except LockLost as error:
                log.warning("job.lock_lost", engine_id=delivery.engine_id, error=str(error))
                return None
            except (RedisError, OSError) as error:
                log.warning("job.not_settled", engine_id=delivery.engine_id, error=str(error), tries_left=left)
                await asyncio.sleep(AGAIN_S if left else 0)
        return None

    async def _settle(self, delivery: Delivery, verdict: Verdict) -> Delivery | None:
        lane, consumer = self.lane, self.lane.consumer
        match verdict:
            case Done():
                self._holds_place = self._holds_place or await lane.take()
                if not (self._holds_place and lane.open and consumer.gate.open):
                    return await consumer.complete(delivery, fetch_next=False)
                following = await consumer.complete(delivery, fetch_next=True)
                lane.heard(following)
                return following
            case Retry(wait_s=wait_s, message=message, stack=stack):
                await consumer.retry(delivery, wait_s, message, stack)
            case HandBack(wait_s=wait_s):
                await consumer.hand_back(delivery, wait_s)
            case Dead(message=message, then=then):
                await consumer.bury(delivery, message)
                await self._follow(then)
            case Refused() | Cancelled():
                await consumer.drop(delivery)
        return None

    async def _follow(self, then: Callable[[], Awaitable[object]]) -> None:
        """Let the record follow Redis. Where it cannot for longer, the reconciler does, a quarter of a minute later."""
        for left in reversed(range(FOLLOW_TRIES)):
            try:
                await then()
                return
            except Exception as error:
                if not left:
                    raise
                log.warning("job.death_not_told", error=str(error) or type(error).__name__, tries_left=left)
            await asyncio.sleep(AGAIN_S * 2 ** (FOLLOW_TRIES - 1 - left))
