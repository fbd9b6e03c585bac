"""The loop of a worker process: one blocking wait for all its queues, and slots that fetch the next job with the end
of the one before."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import cast
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.queues.clock import clock
from app.queues.consumer import LOCK_MS, STALL_CHECK_MS, Consumer, Delivery
from app.queues.lane import AGAIN_S, Chain, Handle, Lane
from app.queues.spec import Limits, QueueSpec

log = structlog.get_logger()
WAIT_S = 5.0
"""After so many seconds without a sign all queues are asked: a sign may have died with a socket or a process."""
SILENT_S = 5.0
RENEW_S = LOCK_MS / 1000 / 4
STALLS_S = STALL_CHECK_MS / 1000
WAKE_KEPT_MS = 60_000


class Slots:
    """
    Args:
        places: how many handlers of each queue run at once.
        client: has sockets of its own for what blocks.
        wake: a key that only this process waits for: it ends the wait when a queue is to be added to it.
        name: of this process, unique; locks carry it.
    """

    def __init__(self, places: Mapping[Consumer, int], handle: Handle, client: Redis, wake: str, name: str) -> None:
        self.lanes = [Lane(consumer, n, handle, name, self._uncovered) for consumer, n in places.items()]
        self._client = client
        self._wake = wake
        self._by_marker = {lane.consumer.marker: lane for lane in self.lanes}
        self._turn = 0
        self._blocked = False
        self._asking = True
        self._turned_at = time.monotonic()
        self._waking: asyncio.Task[None] | None = None

    @property
    def jobs(self) -> int:
        """How many jobs are in hand."""
        return sum(chain.delivery is not None for chain in self._chains())

    @property
    def names(self) -> Iterator[str]:
        """The queues served."""
        return (lane.consumer.spec.name for lane in self.lanes)

    async def run(self) -> None:
        """For ever, until cancelled."""
        await asyncio.gather(
            self._wait(),
            self._every(RENEW_S, self._renew),
            self._every(RENEW_S, lambda lane: lane.consumer.gate.wake()),
            self._every(STALLS_S, self._free_stalled),
        )

    async def close(self, stop_s: float, hand_back_s: float) -> None:
        """Fetch nothing more. Let the jobs in hand end for `stop_s`; what still runs then is handed back."""
        self.quiet()
        if await self._ended(stop_s):
            return
        log.warning("worker.jobs_handed_back", jobs=self.jobs)
        for chain in self._chains():
            chain.interrupt()
        if not await self._ended(hand_back_s):
            for chain in self._chains():
                if chain.task is not None:
                    chain.task.cancel()

    def quiet(self) -> None:
        """Start nothing more; what is in hand goes on."""
        for lane in self.lanes:
            lane.quiet()

    def resume(self) -> None:
        """Start jobs again."""
        for lane in self.lanes:
            if not lane.open:
                lane.open = True
                lane.look()

    def limit(self, limits: Mapping[str, Limits]) -> None:
        """Take over the limits of the queues, by their names."""
        for lane in self.lanes:
            gate, wanted = lane.consumer.gate, limits[lane.consumer.spec.name]
            if gate.limits != wanted:
                gate.limits = wanted
                lane.look()

    def in_hand(self) -> Iterator[tuple[QueueSpec, Delivery]]:
        """What is being worked on, and of which queue."""
        return ((lane.consumer.spec, each) for lane in self.lanes for each in lane.handled().values())

    def interrupt(self, job_id: UUID) -> bool:
        """Cancel the handler that works on this job; False when none does here."""
        found = [each for each in self._chains() if each.delivery is not None and each.delivery.job_id == job_id]
        for chain in found:
            chain.interrupt()
        return bool(found)

    def idle_s(self) -> float:
        """For how many seconds the wait for jobs has not gone round. Waiting for Redis to answer is no idleness."""
        return 0.0 if self._asking else time.monotonic() - self._turned_at

    def _chains(self) -> list[Chain]:
        return [chain for lane in self.lanes for chain in lane.chains]

    async def _ended(self, within_s: float) -> bool:
        tasks = [chain.task for chain in self._chains() if chain.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=within_s)
        return not self._chains()

    async def _wait(self) -> None:
        self._look_everywhere()
        self._asking = False
        while True:
            self._turned_at = time.monotonic()
            try:
                await self._wait_once()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("worker.wait_failed", error=str(error) or type(error).__name__)
                await asyncio.sleep(AGAIN_S)
                self._look_everywhere()

    async def _wait_once(self) -> None:
        # Redis serves the first key that has something, so each queue gets its turn to be first.
        self._turn = (self._turn + 1) % len(self.lanes)
        lanes = [lane for lane in (*self.lanes[self._turn :], *self.lanes[: self._turn]) if lane.has_room]
        for lane in lanes:
            lane.covered = True
        self._blocked = True
        try:
            async with asyncio.timeout(WAIT_S + SILENT_S):
                got = await self._client.bzpopmin([self._wake, *(lane.consumer.marker for lane in lanes)], WAIT_S)
        finally:
            self._blocked = False
            for lane in lanes:
                lane.covered = False
        if got is None:
            self._look_everywhere()
            return
        key, _, score = cast("tuple[str, str, float]", tuple(got))
        if key != self._wake:
            await self._called(self._by_marker[key], score / 1000)

    async def _called(self, lane: Lane, due_s: float) -> None:
        """A queue's marker: a job waits, or a delayed one is due later."""
        if due_s > clock.now():
            lane.look_at(due_s)
        elif chain := lane.look():
            # With the answer comes the next marker, so the wait for it need not be ended and begun anew.
            self._asking = True
            await chain.answered.wait()
            self._asking = False
        else:
            # The last place was taken in the meantime: somebody else may have one.
            await lane.consumer.mark()

    def _look_everywhere(self) -> None:
        for lane in self.lanes:
            lane.look()

    def _uncovered(self) -> None:
        """A queue that was left out of the wait has room again."""
        if self._blocked and (self._waking is None or self._waking.done()):
            self._waking = asyncio.create_task(self._end_wait())

    async def _end_wait(self) -> None:
        try:
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.zadd(self._wake, {"0": 0})
                pipe.pexpire(self._wake, WAKE_KEPT_MS)
                await pipe.execute()
        except (RedisError, OSError) as error:
            log.warning("worker.wait_not_ended", error=str(error))  # it ends by itself, WAIT_S later

    async def _every(self, seconds: float, action: Callable[[Lane], Awaitable[None]]) -> None:
        while True:
            try:
                await asyncio.gather(*(action(lane) for lane in self.lanes))
            except (RedisError, OSError) as error:
                log.warning("worker.upkeep_failed", error=str(error))
            await asyncio.sleep(seconds)

    async def _renew(self, lane: Lane) -> None:
        """All queues' locks leave in one write."""
        before = lane.handled()
        await lane.consumer.gate.renew()
        if not before:
            return
        lost = set(await lane.consumer.renew(list(before.values())))
        # What has ended in the meantime has lost its lock as it should.
        now = lane.handled()
        gone = [each.engine_id for token, each in before.items() if each.engine_id in lost and now.get(token) is each]
        if gone:
            log.warning("job.lock_lost", queue=lane.consumer.spec.name, engine_ids=gone)

    async def _free_stalled(self, lane: Lane) -> None:
        if stalled := await lane.consumer.free_stalled():
            log.warning("job.stalled", queue=lane.consumer.spec.name, engine_ids=stalled)
