"""One socket to Redis, and the callers that wait for its replies."""

import asyncio
import contextlib
import socket
from collections import deque
from dataclasses import dataclass
from typing import Any, cast

import hiredis
from redis.asyncio.connection import DefaultParser
from redis.exceptions import ConnectionError

WRITE_AT = 16
"""So many commands are written at once, so that Redis works while Python still gathers the others of this tick."""
PROBE_AFTER_S, PROBE_EVERY_S, PROBES = 10, 5, 3


@dataclass(slots=True)
class Traffic:
    """What a link has done since its process began."""

    commands: int = 0
    writes: int = 0
    """Fewer than commands, by as many as left together."""
    connections: int = 0
    timeouts: int = 0
    """Callers that got no reply in time."""


class Wire(asyncio.Protocol):
    """The commands of one loop tick leave in one write. Replies come in the order of the commands.

    The line of waiting callers dies with the socket, so that a reply can only reach who asked on this socket. A caller
    that leaves keeps its place in the line: its reply is read and dropped. Every future in the line gets a result,
    never an exception: what failed is an exception as its value.
    """

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self.closed: ConnectionError | None = None
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._unsent: list[bytes] = []
        self._write_is_due = False
        self.heard_at = 0.0
        """When Redis was last heard, or first owed an answer after that, by the loop's clock in seconds."""
        self.silent = False
        """Whether a caller gave up who had heard nothing, and nothing was heard since."""
        self._retired = False
        self._reader = hiredis.Reader(replyError=DefaultParser.parse_error, encoding="utf-8", errors="surrogateescape")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not derived from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family != socket.AF_UNIX:
            _probe(raw)

    def send(self, packed: bytes) -> asyncio.Future[Any]:
        """Queue one command; the future is its reply."""
        future = self._loop.create_future()
        if not self._waiting:
            self.heard_at = self._loop.time()
        self._waiting.append(future)
        self._traffic.commands += 1
        self._write_soon(packed)
        return future

    def send_together(self, packed: bytes, replies: int) -> list[asyncio.Future[Any]]:
        """Queue a piece that nobody's command can come between, and which gets so many replies."""
        if not self._waiting:
            self.heard_at = self._loop.time()
        futures = [self._loop.create_future() for _ in range(replies)]
        self._waiting.extend(futures)
        self._traffic.commands += replies
        self._write_soon(packed)
        return futures

    def silent_s(self) -> float:
        """For how many seconds Redis has owed an answer and said nothing."""
        return self._loop.time() - self.heard_at if self._waiting else 0.0

    def retire(self) -> None:
        """Close when the last caller has its reply."""
        self._retired = True
        if not self._waiting:
            self.close("the keys are on another node")

    def _write_soon(self, packed: bytes) -> None:
        self._unsent.append(packed)
        if len(self._unsent) >= WRITE_AT:
            self._write()
        elif not self._write_is_due:
            self._write_is_due = True
            self._loop.call_soon(self._write_due)

    def _write_due(self) -> None:
        self._write_is_due = False
        self._write()

    def _write(self) -> None:
        if self._unsent and self.closed is None:
            self._traffic.writes += 1
            self._transport.write(b"".join(self._unsent))
            self._unsent.clear()

    def data_received(self, data: bytes) -> None:
        self.heard_at = self._loop.time()
        self.silent = False
        waiting = self._waiting
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                future = waiting.popleft()
                if not future.done():
                    future.set_result(reply)
        except (IndexError, hiredis.ProtocolError) as error:
            # A reply that nobody asked for: from here on nothing on this socket can be trusted.
            self.close(f"the stream is out of step: {error!r}")
        if self._retired and not waiting:
            self.close("the keys are on another node")

    def connection_lost(self, error: Exception | None) -> None:
        self.close(f"the connection was lost: {error or 'closed by Redis'}")

    def close(self, why: str) -> None:
        """Cut the socket; whoever still waits gets a ConnectionError. What was sent may have run."""
        if self.closed is not None:
            return
        self.closed = ConnectionError(why)
        self._transport.abort()
        self._unsent.clear()
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(ConnectionError(why))


def _probe(raw: socket.socket) -> None:
    """Let the kernel notice a host that vanished without a word."""
    with contextlib.suppress(OSError, AttributeError):  # not every system has all of these
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_AFTER_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_EVERY_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
        unacknowledged_ms = (PROBE_AFTER_S + PROBE_EVERY_S * PROBES) * 1000
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unacknowledged_ms)
