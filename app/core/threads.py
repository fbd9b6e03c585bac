"""Threads for what burns more than a few milliseconds of CPU, so that the event loop goes on meanwhile."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
# Bounded: more threads than cores would only take the interpreter's lock from the event loop more often.
_POOL = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="cpu")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `function` in one of as many threads as there are cores; further calls wait for their turn.

    A call that has begun cannot be stopped: who is cancelled leaves, and it runs to its end unheard.
    """
    context = copy_context()
    return await asyncio.get_running_loop().run_in_executor(_POOL, lambda: context.run(function, *args, **kwargs))
