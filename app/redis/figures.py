"""What the cache did in this process, by kind of value; `history` adds it up over all processes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

SLOW_KEPT = 50


@dataclass(frozen=True, slots=True)
class Slow:
    """A load that took long."""

    key: str
    ms: float


class Figures:
    """Counts by `(kind, what happened)`. What happens: `local`, `redis` and `shared` are hits, in memory, in Redis, and
    of whoever waited for another's load; `miss`; `load`, `load_ms`; `early`, a load before the value has expired;
    `failed`, a load that raised; `alone`, without Redis; `too_large`; `stored`, with `bytes`; `unreadable`.
    """

    def __init__(self) -> None:
        self.total: Counter[tuple[str, str]] = Counter()
        self._unflushed: Counter[tuple[str, str]] = Counter()
        self._slow: dict[str, float] = {}

    def count(self, kind: str, what: str, by: int = 1) -> None:
        self.total[kind, what] += by
        self._unflushed[kind, what] += by

    def loaded(self, kind: str, key: str, took_s: float) -> None:
        ms = took_s * 1000
        self.count(kind, "load")
        self.count(kind, "load_ms", round(ms))
        if ms > self._slow.get(key, 0.0):
            self._slow[key] = ms
        if len(self._slow) > SLOW_KEPT * 2:
            slowest = sorted(self._slow.items(), key=lambda item: -item[1])[:SLOW_KEPT]
            self._slow = dict(slowest)

    def take(self) -> tuple[Mapping[tuple[str, str], int], list[Slow]]:
        """What was counted since it was taken last."""
        taken, self._unflushed = self._unflushed, Counter()
        slow, self._slow = self._slow, {}
        return taken, [Slow(key, ms) for key, ms in slow.items()]

    def put_back(self, taken: Mapping[tuple[str, str], int]) -> None:
        """It could not be flushed."""
        self._unflushed.update(taken)
