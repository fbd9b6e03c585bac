"""What many look at is read once: fifty open tabs ask the database and Redis as much as one does."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

from app.core.database import Scope
from app.core.live import Hub

T = TypeVar("T")
EVERYTHING = "*"
"""The tag by which all goes."""
GOOD_FOR_S = 9.0
"""Less than the ten seconds after which browsers ask without a signal, so that each of their rounds is a reading."""


@dataclass(frozen=True, slots=True)
class _Kept:
    value: Any
    at: float
    """When its reading began."""


class Snapshots:
    """The last reading of each thing, for all viewers of one process who may see the same of it.

    A reading serves whoever came if it began after the last signal of its topic, and after the last drop, before they
    came. So whoever comes back because of a signal reads what is newer than the signal, and one reading serves all who
    come with it.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._kept: dict[tuple[str, Scope], _Kept] = {}
        self._failed: dict[tuple[str, Scope], tuple[float, Exception]] = {}
        self._turns: defaultdict[tuple[str, Scope], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._dropped: dict[str, float] = {}
        self._all_dropped = 0.0

    async def read(
        self, name: str, scope: Scope, topic: str, load: Callable[[], Awaitable[T]], *, tag: str | None = None
    ) -> T:
        """The reading called `name`, as `scope` sees it, by `load` where there is no good one.

        Whoever is cancelled ends nobody else's; what `load` raises reaches all who wait for it.

        Args:
            topic: whose signals say that it has changed.
            tag: whose drop says so too; where none is given, the name is one.
        """
        came, key = time.monotonic(), (name, scope)
        dropped = max(self._dropped.setdefault(tag or name, 0.0), self._all_dropped)
        since = max(came - GOOD_FOR_S, self._hub.heard(topic), dropped)
        async with self._turns[key]:
            kept = self._kept.get(key)
            if kept is None or kept.at <= since:
                ended, error = self._failed.get(key, (0.0, None))
                if error is not None and ended >= came:
                    raise error
                kept = self._kept[key] = await self._load(key, load)
            value: T = kept.value
            return value

    async def _load(self, key: tuple[str, Scope], load: Callable[[], Awaitable[Any]]) -> _Kept:
        at = time.monotonic()
        try:
            return _Kept(await load(), at)
        except Exception as error:
            self._failed[key] = (time.monotonic(), error)
            raise

    def forget(self, tags: Collection[str]) -> None:
        """A change drops the readings that go by its tags: whoever made it must not see the state before."""
        now = time.monotonic()
        if EVERYTHING in tags:
            self._all_dropped = now
        # Those that were read: keys of cached values come through here too, and are not to be remembered.
        self._dropped |= {tag: now for tag in tags if tag in self._dropped}
