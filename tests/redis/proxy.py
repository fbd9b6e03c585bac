"""A TCP proxy that does to Redis what networks do: cuts in the middle of a reply, or says nothing."""

import asyncio
import random
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Stands in front of a server. `cut_within` bytes of replies: each connection is cut after a random share."""

    def __init__(
        self, host: str, port: int, *, cut_within: int | None = None, seed: int = 0, delay_ms: int = 0
    ) -> None:
        self.target = (host, port)
        self.cut_within = cut_within
        self.delay_ms = delay_ms
        self.cuts = 0
        self.connections = 0
        self.writes = 0
        self.thawed = asyncio.Event()
        self.thawed.set()
        self._random = random.Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncGenerator[int, None]:
        """The port it listens on."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there_reader, there_writer = await asyncio.open_connection(*self.target)
        left = self._random.randint(20, self.cut_within) if self.cut_within else None
        pumps = [self._pump(reader, there_writer, None), self._pump(there_reader, writer, left)]
        tasks = [asyncio.create_task(pump) for pump in pumps]
        self._tasks.update(tasks)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for each in (writer, there_writer):
            each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self.thawed.wait()
                await asyncio.sleep(self.delay_ms / 1000)
                self.writes += 1
                if left is not None:
                    data, left = data[:left], left - len(data)
                writer.write(data)
                await writer.drain()
                if left is not None and left < 0:
                    self.cuts += 1
                    return
