"""Telling progress at a bounded rate: the first at once, later ones when the pause is over, the latest wins."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()
PAUSE_S = 0.5
Told = tuple[int | None, str | None]


class Teller:
    """Calls `tell(told)` at most once in PAUSE_S. Progress is for people: a call that fails is logged and no more."""

    def __init__(self, tell: Callable[[Told], Awaitable[None]]) -> None:
        self._tell = tell
        self._latest: Told | None = None
        self._again_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    async def say(self, told: Told) -> None:
        self._latest = told
        if self._stopped or self._task is not None:
            return
        wait = self._again_at - time.monotonic()
        if wait <= 0:
            await self._flush()
        else:
            # For the processor that says something twice in a row, and then nothing for a minute.
            self._task = asyncio.create_task(self._later(wait))

    def stop(self) -> None:
        self._stopped = True
        if self._task is not None:
            self._task.cancel()

    async def _later(self, wait: float) -> None:
        await asyncio.sleep(wait)
        self._task = None
        await self._flush()

    async def _flush(self) -> None:
        told, self._latest = self._latest, None
        self._again_at = time.monotonic() + PAUSE_S
        if told is None:
            return
        try:
            await self._tell(told)
        except Exception as error:
            log.info("job.progress_not_told", error=type(error).__name__)
