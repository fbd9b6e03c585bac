"""The rate limiter: one script counts for all processes, and each process for itself while Redis is away."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.limits import Verdict, Window

log = structlog.get_logger()
V = TypeVar("V")
SCRIPT = (Path(__file__).parent / "rate_limit.lua").read_text()
PARTS = 60
REMEMBERED = 10_000
"""So many callers each process keeps in mind at most: those it counts itself, and those that were refused."""


class RateLimiter:
    """Fills the `limits.Limiter` port: sliding windows that are never exceeded, in one round trip.

    Args:
        client: a hasty one; no call waits longer than that does.
        prefix: the queues' hash tag, so that in a Redis Cluster all counts lie in the slot that the client follows.
    """

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._script = client.register_script(SCRIPT)
        self._prefix = prefix
        self._alone = Alone()
        self._away = False
        self._refused: OrderedDict[str, tuple[int, float, Verdict]] = OrderedDict()

    async def take(self, who: str, windows: Sequence[Window], cost: int = 1) -> Verdict:
        """Count a call of `who` against all windows, or against none where one has no room. Never raises.

        A call that costs more than a window holds takes all of it.
        """
        known = self._refused.get(who)
        # A limit that was changed since is another one.
        same = known is not None and cost >= known[0] and any(window.most == known[2].limit for window in windows)
        if same and (refused := self.refused(who)) is not None:
            return refused
        keys = [self._key_of(who, window) for window in windows]
        numbers = [part for window in windows for part in (window.most, round(window.per_s * 1000))]
        try:
            allowed, limit, remaining, reset_ms, wait_ms = await self._script(keys=keys, args=[cost, *numbers])
            verdict = Verdict(bool(allowed), limit, remaining, reset_ms / 1000, wait_ms / 1000)
            self._note_back()
        except (RedisError, OSError) as error:
            self._note_away(error)
            verdict = self._alone.take(who, windows, cost)
        if not verdict.allowed:
            _remember(self._refused, who, (cost, time.monotonic(), verdict))
        return verdict

    async def used(self, who: str, window: Window) -> int | None:
        """How many calls all processes have counted in the window; None without Redis."""
        try:
            seconds, micros = await self._client.time()
            counts = await self._client.hgetall(self._key_of(who, window))
        except (RedisError, OSError):
            return None
        since = seconds * 1000 + micros // 1000 - window.per_s * 1000
        return sum(int(count) for at, count in counts.items() if float(at) > since)

    def refused(self, who: str) -> Verdict | None:
        """The last refusal, with the seconds that are left of it, while there can be no room yet."""
        if (known := self._refused.get(who)) is None:
            return None
        _, at, verdict = known
        past_s = time.monotonic() - at
        if past_s >= verdict.retry_after_s:
            del self._refused[who]
            return None
        left_s = verdict.retry_after_s - past_s
        return Verdict(False, verdict.limit, verdict.remaining, max(left_s, verdict.reset_s - past_s), left_s)

    def _key_of(self, who: str, window: Window) -> str:
        return f"{self._prefix}:limits:{who}:{window.per_s * 1000:.0f}ms"

    def _note_away(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            log.warning("rate_limit.each_process_alone", error=str(error) or type(error).__name__)

    def _note_back(self) -> None:
        if self._away:
            self._away = False
            self._alone = Alone()
            log.info("rate_limit.together_again")


class Alone:
    """The same windows in the memory of one process, for the REMEMBERED callers seen last."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, list[Tally]] = OrderedDict()

    def take(self, who: str, windows: Sequence[Window], cost: int) -> Verdict:
        tallies = self._counts.get(who)
        if tallies is None or [tally.window for tally in tallies] != list(windows):
            tallies = [Tally(window) for window in windows]
        _remember(self._counts, who, tallies)
        now = time.monotonic()
        waits = [(tally.wait_s(now, cost), tally) for tally in tallies]
        wait_s, told = max(waits, key=lambda pair: pair[0])
        if wait_s == 0:
            for tally in tallies:
                tally.add(now, cost)
            told = min(tallies, key=lambda tally: tally.window.most - tally.used)
        remaining = max(0, told.window.most - told.used)
        return Verdict(wait_s == 0, told.window.most, remaining, told.free_at - now, wait_s)


class Tally:
    """One caller's calls in one window: a count for each sixtieth, which leaves with the last of its calls."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.used = 0
        self.free_at = 0.0
        self._counts: OrderedDict[int, tuple[float, int]] = OrderedDict()

    def wait_s(self, now: float, cost: int) -> float:
        """Seconds until there is room; 0 is now."""
        while self._counts and (oldest := next(iter(self._counts.values())))[0] + self.window.per_s <= now:
            self.used -= oldest[1]
            self._counts.popitem(last=False)
        missing = self.used + min(cost, self.window.most) - self.window.most
        for at, count in self._counts.values() if missing > 0 else ():
            missing -= count
            if missing <= 0:
                return at + self.window.per_s - now
        return 0.0

    def add(self, now: float, cost: int) -> None:
        cost = min(cost, self.window.most)
        part = int(now * PARTS / self.window.per_s)
        self._counts[part] = (now, self._counts.get(part, (now, 0))[1] + cost)
        self.used += cost
        self.free_at = now + self.window.per_s


def _remember(kept: OrderedDict[str, V], who: str, value: V) -> None:
    kept[who] = value
    kept.move_to_end(who)
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)
