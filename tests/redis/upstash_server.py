"""Upstash's REST protocol over a real Redis: a command as a JSON array, a token, a JSON answer."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import ResponseError


@asynccontextmanager
async def upstash(redis: Redis, token: str) -> AsyncGenerator[str, None]:
    """Serve on a free port of the loopback; gives the address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                length = next(
                    int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length")
                )
                command = json.loads(await reader.readexactly(length))
                status, body = 200, {}
                if f"authorization: bearer {token}".lower() not in head:
                    status, body = 401, {"error": "Unauthorized"}
                else:
                    try:
                        body = {"result": await redis.execute_command(*command)}
                    except ResponseError as error:
                        status, body = 400, {"error": str(error)}
                result = body.get("result")
                if result is True:
                    body = {"result": "OK"}
                elif isinstance(result, str) and "upstash-encoding: base64" in head:
                    body = {"result": b64encode(result.encode()).decode()}
                text = json.dumps(body).encode()
                headers = f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
                writer.write(f"HTTP/1.1 {status} X\r\n{headers}".encode() + text)
                await writer.drain()
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"http://{host}:{port}"
    server.close()
