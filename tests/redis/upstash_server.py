"""Upstash's REST protocol over a real Redis: one command, or a pipeline of them, as JSON; a token; a JSON answer."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError


@asynccontextmanager
async def upstash(
    redis: Redis, token: str, *, hung: asyncio.Event | None = None, says: bytes | None = None
) -> AsyncGenerator[str, None]:
    """Serve on a free port of the loopback; gives the address.

    Args:
        hung: while this is not set, no request is answered.
        says: what every request is answered instead, as a proxy in between may.
    """

    async def one(command: list[Any], encoded: bool) -> dict[str, Any]:
        try:
            result = await redis.execute_command(*command)
        except ResponseError as error:
            return {"error": str(error)}
        return {"result": _wired(result, encoded)}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                length = next(
                    int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length")
                )
                sent = json.loads(await reader.readexactly(length))
                if hung is not None:
                    await hung.wait()
                encoded = "upstash-encoding: base64" in head
                status, body = 200, None
                if f"authorization: bearer {token}".lower() not in head:
                    status, body = 401, {"error": "Unauthorized"}
                elif head.startswith("post /pipeline"):
                    body = [await one(command, encoded) for command in sent]
                else:
                    body = await one(sent, encoded)
                    status = 400 if "error" in body else 200
                text = says if says is not None else json.dumps(body).encode()
                headers = f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
                writer.write(f"HTTP/1.1 {status} X\r\n{headers}".encode() + text)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()


def _wired(result: Any, encoded: bool) -> Any:
    if result is True:
        return "OK"
    if isinstance(result, str) and encoded and result != "OK":
        return b64encode(result.encode()).decode()
    if isinstance(result, list):
        return [_wired(each, encoded) for each in result]
    return result
