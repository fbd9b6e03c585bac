"""What one process does for all: loops that only the holder of the lease runs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from app.queues.leader import Leader

log = structlog.get_logger()
LEASE_EVERY_S = 5.0
ASK_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Loop:
    """An action and how often it runs, in seconds. An action that raises is logged and runs again."""

    name: str
    every_s: float
    action: Callable[[], Awaitable[object]]


class Loops:
    """`led` run while this process leads, `own` always."""

    def __init__(self, leader: Leader, led: Sequence[Loop], own: Sequence[Loop] = ()) -> None:
        self._leader = leader
        self.leads = False
        lease = Loop("lease", LEASE_EVERY_S, self._take_lead)
        self._loops = [(loop, True) for loop in led] + [(loop, False) for loop in (lease, *own)]

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
            try:
                await loop.action()
            except Exception as error:
                log.warning("loop.failed", loop=loop.name, error=str(error) or type(error).__name__)
            await asyncio.sleep(loop.every_s)

    async def _take_lead(self) -> None:
        leads = await self._leader.lead()
        if leads and not self.leads:
            log.info("loop.leading")
        self.leads = leads
