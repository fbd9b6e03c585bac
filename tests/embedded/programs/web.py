"""An HTTP server whose `/health/ready` asks PostgreSQL and Valkey; every request leaves a row."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import asyncpg
from redis.asyncio import Redis


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    status = "503 Service Unavailable" if "NEVER_READY" in os.environ else "200 OK"
    try:
        link = await asyncpg.connect(os.environ["DATABASE_URL"])
        await link.execute("INSERT INTO visit VALUES (1)")
        visits = await link.fetchval("SELECT count(*) FROM visit")
        await link.close()
        async with Redis.from_url(os.environ["REDIS_URL"]) as redis:
            visits = f"{visits} {await redis.incr('visits')}"
    except Exception as error:
        status, visits = "503 Service Unavailable", error
    writer.write(f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{visits}".encode())
    await writer.drain()
    writer.close()


async def main() -> None:
    if "WEB_FAILS" in os.environ:
        sys.exit("the template of the front page is missing")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if "SILENT" in os.environ:  # as one that still loads its modules
        await stop.wait()
        return
    notes = Path(os.environ["NOTES"])
    async with await asyncio.start_server(answer, os.environ["HOST"], int(os.environ["PORT"])):
        (notes / "web.env").write_text("\n".join(f"{key}={value}" for key, value in os.environ.items()))
        (notes / "web.pid").write_text(str(os.getpid()))
        print("web listens", flush=True)
        await stop.wait()
        if "LINGERS" in os.environ:  # as a server does that waits for its open streams
            await asyncio.sleep(1)
    (notes / "web.ended").write_text("by SIGTERM")


asyncio.run(main())
