"""A TCP proxy that loses replies: now and then it cuts a link after the command went on to the server."""

import asyncio
import random
from contextlib import suppress
from typing import Self

CHUNK = 65_536
SERVED_S = 0.02  # by then the server has done what it was told


class LossyProxy:
    """`async with LossyProxy(port, rng) as proxy`; cuts while `odds` (per command) is above zero."""

    def __init__(self, target: int, rng: random.Random) -> None:
        self._target, self._rng = target, rng
        self.odds = 0.0
        self.cuts = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        back = asyncio.create_task(_pump(there_reader, writer))
        with suppress(OSError):
            while part := await reader.read(CHUNK):
                cut = self._rng.random() < self.odds
                if cut:
                    back.cancel()
                there_writer.write(part)
                await there_writer.drain()
                if cut:
                    self.cuts += 1
                    await asyncio.sleep(SERVED_S)
                    break
        back.cancel()
        there_writer.close()
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await reader.read(CHUNK):
            writer.write(part)
            await writer.drain()
    writer.close()
