"""Waiting for what TekNav does on its own time, as a polite program does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

Found = TypeVar("Found")
UNTIL_S = 60.0
FIRST_S, LAST_S, LONGER = 0.1, 1.0, 1.5


async def until(read: Callable[[], Awaitable[Found]], good: Callable[[Found], bool]) -> Found:
    """Read until it is as it should be, less and less often: who asks too often is refused by the limits."""
    pause_s = FIRST_S
    found: Any = None
    try:
        async with asyncio.timeout(UNTIL_S):
            while not good(found := await read()):
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * LONGER, LAST_S)
    except TimeoutError:
        raise AssertionError(f"not within {UNTIL_S} s: {found}") from None
    return cast(Found, found)
