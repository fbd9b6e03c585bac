"""`teknav worker --processes N`: worker processes that are started again when they die, and ended together."""

import asyncio
import os
from collections.abc import Sequence

from app.embedded.child import Child
from app.embedded.signals import stop_on_signals

GRACE_S = 24.0
"""A worker lets its jobs end for 20 seconds and hands the rest back in 3."""
STOPPED, MISCONFIGURED = 0, 2


async def run(count: int, arguments: Sequence[str]) -> int:
    """Keep `count` processes running until SIGTERM or Ctrl-C, which they get too; returns the exit code.

    A process that ends with 0 was told to, so it stays away, and when all have, so does this. What the settings
    forbid will not be better the next time, so a process that ends for that ends all.

    Args:
        arguments: given to this Python, such as `("-m", "app.cli", "worker")`.
    """
    with stop_on_signals() as stop:
        children = [Child(f"worker {n}", arguments, None) for n in range(1, count + 1)]
        for child in children:
            child.environment = dict(os.environ) | {"WORKER_PROCESSES": "1"}
            await child.start()
        try:
            return await stop.first(_all_ended(children)) or STOPPED
        finally:
            await asyncio.gather(*(child.stop(GRACE_S, stop.forced) for child in children))


async def _all_ended(children: Sequence[Child]) -> int:
    kept = [asyncio.create_task(child.keep((STOPPED, MISCONFIGURED))) for child in children]
    try:
        for ended in asyncio.as_completed(kept):
            if (code := await ended) != STOPPED:
                return code
        return STOPPED
    finally:
        for task in kept:
            task.cancel()
        await asyncio.gather(*kept, return_exceptions=True)
