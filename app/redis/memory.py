"""Level 1: a bounded share of the cache in this process, never older than its short life."""

import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

SHORT_LIFE_S = 2.0
"""So long a change that nobody told us of may stay unseen, at most."""
MOST_ENTRIES, MOST_BYTES, MOST_DROPS = 4096, 32 * 1024 * 1024, 4096


@dataclass(slots=True)
class Kept:
    """A value at hand. Moments are of `time.monotonic`, in seconds.

    `since` is when reading or loading it began: a drop after that is a drop of this. It is handed out until `until`,
    and after `due` somebody should load it anew.
    """

    body: bytes
    born: float
    since: float
    due: float
    until: float

    @property
    def age_s(self) -> float:
        return max(0.0, time.monotonic() - self.born)


class Memory:
    """The least recently used go first. A tag or key that is dropped hides what was read before."""

    def __init__(self, entries: int = MOST_ENTRIES, size: int = MOST_BYTES, life_s: float = SHORT_LIFE_S) -> None:
        self._most_entries, self._most_bytes, self._life_s = entries, size, life_s
        self._kept: OrderedDict[str, tuple[Kept, tuple[str, ...], float]] = OrderedDict()
        self._dropped: dict[str, float] = {}
        self._all_dropped = float("-inf")
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> Kept | None:
        found = self._kept.get(key)
        if found is None:
            return None
        kept, tags, until = found
        if time.monotonic() >= min(until, kept.until) or self._gone(kept, key, tags):
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return kept

    def put(self, key: str, kept: Kept, tags: tuple[str, ...]) -> None:
        self._forget(key)
        if len(kept.body) > self._most_bytes // 8:
            return
        self._kept[key] = (kept, tags, time.monotonic() + self._life_s)
        self.bytes += len(kept.body)
        while len(self._kept) > self._most_entries or self.bytes > self._most_bytes:
            self._forget(next(iter(self._kept)))

    def drop(self, names: Iterable[str]) -> None:
        """Hide what has one of these tags or keys and was begun before now."""
        now = time.monotonic()
        if len(self._dropped) >= MOST_DROPS:
            self.clear()
        for name in names:
            self._dropped[name] = now

    def clear(self) -> None:
        self._kept.clear()
        self._dropped.clear()
        self._all_dropped, self.bytes = time.monotonic(), 0

    def _gone(self, kept: Kept, key: str, tags: tuple[str, ...]) -> bool:
        dropped = self._dropped
        if kept.since <= self._all_dropped or kept.since <= dropped.get(key, float("-inf")):
            return True
        return any(kept.since <= dropped.get(tag, float("-inf")) for tag in tags)

    def _forget(self, key: str) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self.bytes -= len(found[0].body)
