"""Group commit: what comes while one group is being written makes up the next."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from app.core.database import is_unavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")
MOST = 500


class GroupCommit(Generic[Item, Answer]):
    """
    Args:
        write: writes a group in one transaction and returns an answer for each item, in order.
        subject: what an item is about, and on whose behalf. A group has one item's word on a subject; another's waits
            for the next group.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        subject: Callable[[Item], tuple[Hashable, object]],
    ) -> None:
        self._write = write
        self._subject = subject
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._writing: asyncio.Task[None] | None = None

    def put(self, item: Item) -> asyncio.Future[Answer]:
        """The future is the answer, or why it could not be written; it may be left unawaited."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((item, future))
        if self._writing is None:
            self._writing = loop.create_task(self._write_all())
        return future

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._write_group(self._next_group())
        finally:
            self._writing = None

    def _next_group(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        group: list[tuple[Item, asyncio.Future[Answer]]] = []
        later: list[tuple[Item, asyncio.Future[Answer]]] = []
        speakers: dict[Hashable, object] = {}
        for each in self._waiting:
            subject, speaker = self._subject(each[0])
            mine = len(group) < MOST and speakers.setdefault(subject, speaker) is speaker
            (group if mine else later).append(each)
        self._waiting = later
        return group

    async def _write_group(self, group: Sequence[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._write([item for item, _ in group])
        except Exception as error:
            if len(group) == 1 or is_away(error):
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
                        future.exception()  # it may be left unawaited
                return
            # One of them cannot be written; the others must not suffer for it.
            for each in group:
                await self._write_group([each])
            return
        for (_, future), answer in zip(group, answers, strict=True):
            if not future.done():
                future.set_result(answer)


def is_away(error: Exception) -> bool:
    """Whether PostgreSQL cannot be reached, so that trying the others would only take longer."""
    return isinstance(error, OSError | TimeoutError) or is_unavailable(error)
