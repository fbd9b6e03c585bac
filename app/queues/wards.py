"""Several quarantines side by side: after a crash there may be fifty suspects with long work before them."""

import asyncio
from collections.abc import Callable
from uuid import UUID

from app.queues.quarantine import Quarantine
from app.queues.runner import Outcome

AT_ONCE = 4
"""Each is a process of some 70 MB as long as there are suspects for it, and half a minute more."""


class Wards:
    """A quarantine has one suspect at a time; this has `AT_ONCE`. Those that are not needed are never started."""

    def __init__(self, make: Callable[[], Quarantine]) -> None:
        self._all = [make() for _ in range(AT_ONCE)]
        self._free = list(self._all)
        self._places = asyncio.Semaphore(AT_ONCE)

    async def attempt(self, job_id: UUID, run: int) -> Outcome:
        """As `Quarantine.attempt` does it, once there is a place."""
        async with self._places:
            # The one that was used last has its process still.
            ward = self._free.pop()
            try:
                return await ward.attempt(job_id, run)
            finally:
                self._free.append(ward)

    async def close(self) -> None:
        """End their processes, whatever they do."""
        await asyncio.gather(*(ward.close() for ward in self._all))
