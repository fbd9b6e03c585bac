"""One load of one value, and those in this process who wait for it."""

import asyncio
import time

from app.redis.memory import Kept

REDIS_S = 0.25
"""What a request spends on Redis for one cached value, in all its commands together."""


class Failed(Exception):
    """The load that was waited for failed; `cause` is why, where it may be told to others."""

    def __init__(self, cause: BaseException | None) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Flight:
    """Who holds one has to end it: with a value, as failed, or given up so that somebody else takes over.

    `began`, and `handed`, when its holder got it, are of `time.monotonic`. `token` is the lease in Redis, None without
    one. `marks` are those of the tags when it began: a value is only ever valid with the marks from before its load.
    """

    def __init__(self, key: str, tags: frozenset[str]) -> None:
        self.key, self.tags = key, tags
        self.began = self.handed = time.monotonic()
        self.token: str | None = None
        self.marks: list[str] = []
        self._left_s = REDIS_S
        self._end: asyncio.Future[Kept | Failed | None] = asyncio.get_running_loop().create_future()

    @property
    def ended(self) -> bool:
        return self._end.done()

    @property
    def left_s(self) -> float:
        return self._left_s

    def spent(self, seconds: float) -> None:
        self._left_s -= seconds

    def end(self, with_: Kept | Failed | None) -> None:
        if not self._end.done():
            self._end.set_result(with_)

    async def wait(self) -> Kept | Failed | None:
        """What came of it; None where it was given up. Cancelling one who waits disturbs nobody."""
        return await asyncio.shield(self._end)
