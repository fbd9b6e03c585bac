"""Several quarantines side by side: after a crash there may be fifty suspects with long work before them."""

import asyncio
from collections.abc import Callable
from uuid import UUID

from app.queues.quarantine import Quarantine
from app.queues.runner import Outcome

AT_ONCE = 4
"""Each is a process of some 70 MB as long as there are suspects for it, and half a minute more."""
GROW_S = 4.0
"""A process takes seconds to start, in which the one that is there is through with many short jobs."""


class Wards:
    """A quarantine has one suspect at a time; this has up to `AT_ONCE`, one more where somebody waits long."""

    def __init__(self, make: Callable[[], Quarantine]) -> None:
        first, *others = self._all = [make() for _ in range(AT_ONCE)]
        # The one that was used last has its process still.
        self._free: asyncio.LifoQueue[Quarantine] = asyncio.LifoQueue()
        self._free.put_nowait(first)
        self._unopened = others

    async def attempt(self, job_id: UUID, run: int) -> Outcome:
        """As `Quarantine.attempt` does it, once there is a place."""
        ward = await self._place()
        try:
            return await ward.attempt(job_id, run)
        finally:
            self._free.put_nowait(ward)

    async def close(self) -> None:
        """End their processes, whatever they do."""
        await asyncio.gather(*(ward.close() for ward in self._all))

    async def _place(self) -> Quarantine:
        while self._unopened:
            try:
                async with asyncio.timeout(GROW_S):
                    return await self._free.get()
            except TimeoutError:
                if self._unopened:
                    return self._unopened.pop()
        return await self._free.get()
