"""A worker's loop with a watchdog, which hangs as its argument says; nobody but the watchdog ends it."""

import asyncio
import ctypes
import sys
import time

from app.queues import watchdog

watchdog.WIND_S, watchdog.LATE_S, watchdog.STILL_S = 0.05, 0.3, 0.3


def blocking_handler(what: str) -> None:
    if what == "sleeps":
        time.sleep(60)
    if what == "stumbles":
        time.sleep(0.8)
    if what == "grips":
        ctypes.PyDLL(None).sleep(60)  # no other thread of Python runs meanwhile


async def main(what: str) -> None:
    began = time.monotonic()
    watch = watchdog.Watchdog(1.5, lambda: time.monotonic() - began if what == "idles" else 0.0)
    task = asyncio.create_task(watch.run())
    await asyncio.sleep(0.2)
    if what == "stumbles":
        blocking_handler(what)
        await asyncio.sleep(0.2)
        print(f"late by {watch.lag_ms():.0f}", flush=True)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(2)
        return
    blocking_handler(what)
    await asyncio.sleep(60)


asyncio.run(main(sys.argv[1]))
