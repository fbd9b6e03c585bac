"""What many look at is read once: fifty open tabs ask the database and Redis as much as one does."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

from app.core.live import Hub

T = TypeVar("T")
GOOD_FOR_S = 10.0


@dataclass(frozen=True, slots=True)
class _Kept:
    value: Any
    beat: int
    at: float


class Snapshots:
    """The last reading of each thing, for all viewers of one process who may see the same of it.

    A reading is good until signals leave for the viewers, and for ten seconds where none do. So whoever comes back
    because of a signal reads what is newer than the signal, and one reading serves all who come with it.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._kept: dict[str, _Kept] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def read(self, name: str, load: Callable[[], Awaitable[T]]) -> T:
        """The reading called `name`, by `load` where there is no good one. Who is cancelled ends nobody else's."""
        async with self._turns[name]:
            kept, beat = self._kept.get(name), self._hub.beats
            if kept is None or kept.beat != beat or time.monotonic() - kept.at >= GOOD_FOR_S:
                at = time.monotonic()
                kept = self._kept[name] = _Kept(await load(), beat, at)
            value: T = kept.value
            return value

    def forget(self, tags: Collection[str]) -> None:
        """A change drops the readings that go by its tags: whoever made it must not see the state before."""
        for tag in tags:
            self._kept.pop(tag, None)
