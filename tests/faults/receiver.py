"""Somebody else's HTTP service, in a process of its own: `receiver.py PORT LOG`.

Each call leaves a line `{"mark", "key", "taken"}` before it is answered. The path says how the first calls under one
key go: `ok`, `slow` (too late), `drip` (a byte now and then), `reset` (taken, and never answered), `busy` (refused
twice with 503), `broken` (refused for ever). Whatever came before, the next call under the key is answered at once.
"""

import asyncio
import json
import os
import sys
from collections import Counter

SLOW_S = 6.0
ANSWER = b'{"done": true}'
seen: Counter[str] = Counter()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: int) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        manner, key = lines[0].split()[1].strip("/"), headers["idempotency-key"]
        seen[key] += 1
        refused = manner == "broken" or (manner == "busy" and seen[key] <= 2)
        os.write(log, (json.dumps({"mark": body["mark"], "key": key, "taken": not refused}) + "\n").encode())
        await answer(writer, manner if seen[key] == 1 else "ok", 503 if refused else 200)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def answer(writer: asyncio.StreamWriter, manner: str, status: int) -> None:
    if manner == "reset":
        return
    if manner == "slow":
        await asyncio.sleep(SLOW_S)
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(ANSWER)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    for byte in ANSWER:
        writer.write(bytes([byte]))
        if manner == "drip":
            await writer.drain()
            await asyncio.sleep(SLOW_S / len(ANSWER))
    await writer.drain()


async def main(port: int, path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    async with await asyncio.start_server(lambda r, w: serve(r, w, log), "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
