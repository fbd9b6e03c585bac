"""One side of one peer as a process of its own: it adds jobs, or it works them off.

Told what to do by lines of JSON on standard input, it answers each with one line on standard output. Every peer runs
in an environment of its own, so this file needs nothing but the standard library.

Times are the machine's monotonic clock in seconds, which all processes share.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

CONCURRENCY = 50
BULK = 500
Seen = Callable[[int], None]


class Peer(Protocol):
    """A library under test. Jobs are known by a number."""

    bulk: bool
    """Whether it can add many jobs with one call."""

    async def open(self, url: str) -> None: ...

    async def add(self, number: int) -> float:
        """Add one job; returns the moment from which the library is responsible for it."""

    async def add_bulk(self, numbers: Sequence[int]) -> None: ...

    async def left(self) -> int:
        """Jobs that are not finished yet, as far as the servers know."""

    async def work(self, seen: Seen) -> None:
        """Work jobs off until cancelled; each handler calls `seen` with its job's number."""


class Producer:
    """Adds jobs when told to."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def do(self, action: str, first: int = 0, jobs: int = 0, every_s: float = 0.0) -> Any:
        numbers = range(first, first + jobs)
        if action == "add":
            return await _timed(self._add(numbers))
        if action == "add_bulk":
            return await _timed(self._add_bulk(numbers)) if self._peer.bulk else None
        if action == "pace":
            return await self._pace(numbers, every_s)
        return await self._peer.left()

    async def _add(self, numbers: Sequence[int]) -> None:
        """One call for each job, with as many calls under way as a busy web process has requests."""
        remaining = iter(numbers)

        async def caller() -> None:
            for number in remaining:
                await self._peer.add(number)

        await asyncio.gather(*(caller() for _ in range(CONCURRENCY)))

    async def _add_bulk(self, numbers: Sequence[int]) -> None:
        for start in range(0, len(numbers), BULK):
            await self._peer.add_bulk(numbers[start : start + BULK])

    async def _pace(self, numbers: Sequence[int], every_s: float) -> list[float]:
        """One job every so many seconds, whether or not the one before is in; returns when each was handed over."""
        started = time.monotonic()
        adding = []
        for position, number in enumerate(numbers):
            await asyncio.sleep(max(0.0, started + position * every_s - time.monotonic()))
            adding.append(asyncio.create_task(self._peer.add(number)))
        return list(await asyncio.gather(*adding))


class Consumer:
    """Works jobs off when told to, and keeps when each handler was called."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._calls: dict[int, float] = {}
        self._awaited = -1
        self._reached = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    def _seen(self, number: int) -> None:
        # A library that runs a job twice, as some do, is asked for the first time.
        self._calls.setdefault(number, time.monotonic())
        if len(self._calls) == self._awaited:
            self._reached.set()

    async def do(self, action: str, calls: int = 0, since: int = 0) -> Any:
        if action == "work":
            self._work = asyncio.create_task(self._peer.work(self._seen))
            return None
        if action == "count":
            return len(self._calls)
        await self._until(calls)
        seen = list(self._calls.items())
        return seen[calls - 1][1] if action == "time_of" else seen[since:calls]

    async def _until(self, calls: int) -> None:
        assert self._work is not None
        self._awaited = calls
        self._reached.clear()
        if len(self._calls) >= calls:
            return
        reached = asyncio.create_task(self._reached.wait())
        await asyncio.wait([reached, self._work], return_when=asyncio.FIRST_COMPLETED)
        if self._work.done():
            self._work.result()
            raise RuntimeError("the worker stopped")


async def _timed(adding: Awaitable[None]) -> float:
    started = time.monotonic()
    await adding
    return time.monotonic() - started


async def _serve(peer: Peer, role: str) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await peer.open(os.environ["REDIS_URL"])
    side: Producer | Consumer = Producer(peer) if role == "producer" else Consumer(peer)
    _answer({"ok": None})
    while line := await reader.readline():
        try:
            _answer({"ok": await side.do(**json.loads(line))})
        except Exception as error:
            _answer({"error": f"{type(error).__name__}: {error}"})


def _answer(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(peer: Peer) -> None:
    """`python FILE producer|worker`, with REDIS_URL in the environment. Ends when standard input does."""
    import uvloop  # every environment has it: TekNav's own worker runs on it, so the others do too

    async def serve() -> None:
        await _serve(peer, sys.argv[1])
        os._exit(0)  # libraries that end slowly must not hold the next round up

    uvloop.run(serve())
