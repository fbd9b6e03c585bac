"""Somebody else's HTTP service, in a process of its own: `receiver.py PORT LOG`.

Each call leaves a line `{"manner", "id", "timestamp", "signature", "body", "sent"}` before it is answered. The path
says how: `ok`, `busy` (503 to the first two calls under an id), `broken` (500 for ever), `gone` (410), `redirect`,
`huge` (200 with a body that does not end), `echo` (500 with what was sent), `hold` (taken, and the first call under an
id is never answered).
"""

import asyncio
import json
import os
import sys
from collections import Counter

seen: Counter[str] = Counter()
STATUSES = {"ok": 200, "busy": 503, "broken": 500, "gone": 410, "redirect": 302, "huge": 200, "echo": 500, "hold": 200}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: int) -> None:
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        body = await reader.readexactly(int(headers["content-length"]))
        manner, id_ = lines[0].split()[1].strip("/"), headers["webhook-id"]
        seen[id_] += 1
        line = {
            "manner": manner,
            "id": id_,
            "timestamp": headers["webhook-timestamp"],
            "signature": headers.get("webhook-signature"),
            "body": body.decode(),
            "sent": headers,
        }
        os.write(log, (json.dumps(line) + "\n").encode())
        await answer(writer, reader, manner, body, first=seen[id_] == 1, early=seen[id_] <= 2)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def answer(
    writer: asyncio.StreamWriter, reader: asyncio.StreamReader, manner: str, body: bytes, *, first: bool, early: bool
) -> None:
    if manner == "hold" and first:
        await reader.read()  # until the caller is gone
        return
    status = 200 if manner == "busy" and not early else STATUSES[manner]
    said = body if manner == "echo" else b"thank you"
    head = f"HTTP/1.1 {status} X\r\nConnection: close\r\nLocation: http://127.0.0.1:1/elsewhere\r\n"
    if manner == "huge":
        writer.write(f"{head}\r\n".encode())
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
    writer.write(f"{head}Content-Length: {len(said)}\r\n\r\n".encode() + said)
    await writer.drain()


async def main(port: int, path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    async with await asyncio.start_server(lambda r, w: serve(r, w, log), "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
