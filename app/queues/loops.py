"""What one process does for all: loops that only the holder of the lease runs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from app.queues import lag
from app.queues.lag import LastRound
from app.queues.leader import LEASE_LASTS, Leader

log = structlog.get_logger()
LEASE_EVERY_S, LEASE_LIMIT_S = 2.0, 4.0
ASK_AGAIN_S = 0.5
TELL_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Loop:
    """An action and how often it runs, in seconds. An action that raises is logged and runs again.

    One that hangs is cut off after `limit_s`: what a round cannot finish by then, the next ones have to go on with.
    """

    name: str
    every_s: float
    action: Callable[[], Awaitable[object]]
    limit_s: float = 60.0


class Loops:
    """`led` run while this process leads, `own` always. The one that leads tells the record how they fare."""

    def __init__(self, leader: Leader, led: Sequence[Loop], own: Sequence[Loop] = ()) -> None:
        self._leader = leader
        self._leads_until = 0.0
        self._rounds: dict[str, LastRound] = {}
        lease = Loop("lease", LEASE_EVERY_S, self._take_lead, LEASE_LIMIT_S)
        tell = Loop("lag", TELL_EVERY_S, self._tell)
        self._loops = [(loop, True) for loop in (*led, tell)] + [(loop, False) for loop in (lease, *own)]

    @property
    def leads(self) -> bool:
        """Whoever cannot renew the lease stops leading when it runs out, also where nobody tells it so."""
        return time.monotonic() < self._leads_until

    async def run(self) -> None:
        """For ever, until cancelled; then the lease is given back."""
        try:
            await asyncio.gather(*(self._keep(loop, led) for loop, led in self._loops))
        finally:
            try:
                await self._leader.resign()
            except Exception as error:
                log.warning("lease.not_given_back", error=str(error))

    async def _keep(self, loop: Loop, led: bool) -> None:
        while True:
            if led and not self.leads:
                # Not a whole period: the first round of an hourly loop must not wait an hour for the lease.
                await asyncio.sleep(min(ASK_AGAIN_S, loop.every_s))
                continue
            await self._round(loop)
            await asyncio.sleep(loop.every_s)

    async def _round(self, loop: Loop) -> None:
        last = self._rounds.get(loop.name) or LastRound(loop.every_s)
        started, bound = time.monotonic(), asyncio.timeout(loop.limit_s)
        error = None
        try:
            async with bound:
                await loop.action()
        except Exception as failure:
            if bound.expired():
                last.cut_off += 1
                error = f"cut off after {loop.limit_s:g} s"
            else:
                error = str(failure) or type(failure).__name__
            log.warning("loop.failed", loop=loop.name, error=error)
        last.end(started, error)
        self._rounds[loop.name] = last

    async def _take_lead(self) -> None:
        asked = time.monotonic()
        leads = await self._leader.lead()
        if leads and not self.leads:
            log.info("loop.leading")
        self._leads_until = asked + LEASE_LASTS.total_seconds() if leads else 0.0

    async def _tell(self) -> None:
        await lag.write(self._leader.database, self._leader.holder, self._rounds)
