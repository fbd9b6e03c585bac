"""Whether Redis serves this process: who asks it in vain says so, and a probe finds out when it is back."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from redis.exceptions import RedisError

log = structlog.get_logger()
DOWN_LOGGED_EVERY_S = 300
PROBE_S, WATCH_S = 0.3, 5.0
OUTAGES_KEPT = 20
FAILURES = (RedisError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Outage:
    """A time without Redis. `ended_at` is None while it lasts."""

    began_at: datetime
    ended_at: datetime | None
    error: str


class Health:
    """Closed to everybody from the first failure until a probe succeeds, so that nobody queues up behind a dead Redis.

    Args:
        probe: raises one of FAILURES unless Redis answers and can be written to.
        recovered: what has to be done before Redis is used again.
    """

    def __init__(self, probe: Callable[[], Awaitable[None]], recovered: Callable[[], Awaitable[None]]) -> None:
        self._probe, self._recovered = probe, recovered
        self._probing: asyncio.Task[None] | None = None
        self._down_logged = float("-inf")
        self._present: Outage | None = None
        self._noted = False
        self._told = False
        """Whether the log says "down": then it says "up" too. A Redis that comes and goes does not fill it."""
        self.ended: Callable[[Outage], Awaitable[None]] | None = None
        """Called with an outage that is over."""
        self.past: deque[Outage] = deque(maxlen=OUTAGES_KEPT)

    @property
    def ok(self) -> bool:
        return self._present is None

    @property
    def outages(self) -> list[Outage]:
        """Those of this process, the newest first. One that a first probe ended is none."""
        present = [self._present] if self._present is not None and self._noted else []
        return [*present, *reversed(self.past)]

    def failed(self, error: BaseException, *, certain: bool = False) -> None:
        """Redis did not do what was asked. A connection may be cut and be back at once: the first probe tells.

        Args:
            certain: it is known that this is no such moment.
        """
        if self._present is None:
            self._present = Outage(datetime.now(UTC), None, _words(error))
            self._noted = False
        if certain:
            self._note(error)
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._until_back())

    async def check(self) -> float:
        """Probe once, whatever is known.

        Returns:
            how long it took, in seconds.

        Raises:
            one of FAILURES.
        """
        began = time.perf_counter()
        try:
            await self._probe()
        except FAILURES as error:
            self.failed(error, certain=True)
            raise
        took_s = time.perf_counter() - began
        await self._back()
        return took_s

    async def watch(self) -> None:
        """Notice an outage also while nobody asks."""
        while True:
            await asyncio.sleep(WATCH_S)
            if self.ok:
                try:
                    await self._probe()
                except FAILURES as error:
                    self.failed(error, certain=True)

    def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()

    async def _until_back(self) -> None:
        while not self.ok:
            try:
                await self._probe()
                await self._back()
            except FAILURES as error:
                self._note(error)
                await asyncio.sleep(PROBE_S)

    async def _back(self) -> None:
        ended = self._present
        if ended is None:
            return
        await self._recovered()
        if self._present is not ended:
            return  # two probes succeeded side by side, and the other one was first
        self._present = None
        if self._noted:
            over = Outage(ended.began_at, datetime.now(UTC), ended.error)
            self.past.append(over)
            if self.ended is not None:
                with suppress(*FAILURES):
                    await self.ended(over)
            if self._told:
                self._told = False
                log.info("redis.up", away_s=round((datetime.now(UTC) - ended.began_at).total_seconds(), 1))

    def _note(self, error: BaseException) -> None:
        self._noted = True
        now = time.monotonic()
        if now - self._down_logged >= DOWN_LOGGED_EVERY_S:
            self._down_logged, self._told = now, True
            log.warning("redis.down", error=_words(error))


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
