"""A handler's call within its time limit. One that does not let itself be stopped is let go: its attempt ends at once.

What was let go goes on as a stray task until it ends, or its process does. It can change nothing more in the record:
`Work` refuses its steps.
"""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

import structlog

from app.queues.failure import plain, said

log = structlog.get_logger()
R = TypeVar("R")
GRACE_S = 1.5
"""So long a handler has for tidying up, once it is told to stop."""
TELL_EVERY_S = 60.0
_watches: set[asyncio.Task[None]] = set()


async def bounded(handling: Awaitable[R], limit_s: float) -> R:
    """Its result, also where it came only after the handler was told to stop.

    Raises:
        TimeoutError: it took longer than `limit_s`. asyncio.CancelledError: who calls this was cancelled, and the
            handler has stopped or was let go. RuntimeError: it raised what is no `Exception`.
    """
    here = asyncio.current_task()
    assert here is not None
    cancelling = here.cancelling()
    # In a task of its own: a handler that cancels its task does not cancel the worker's.
    task = asyncio.create_task(_alone(handling))
    try:
        await asyncio.wait([task], timeout=limit_s)
    except asyncio.CancelledError:
        if await _stopped(task) and _succeeded(task):
            return task.result()
        raise
    if task.done():
        if task.cancelled():
            # Somebody's cancellation leaked through the handler: for the job it is an error like others.
            raise RuntimeError("the handler was cancelled from within")
        return task.result()
    why = f"the job took longer than {limit_s:g} s"
    if not (stopped := await _stopped(task)):
        why += " and did not let itself be stopped"
    elif _succeeded(task):
        return task.result()
    if here.cancelling() > cancelling:
        raise asyncio.CancelledError
    raise TimeoutError(why) from (task.exception() if stopped and not task.cancelled() else None)


async def _alone(handling: Awaitable[R]) -> R:
    """What is no `Exception` would end the event loop, or pass for the record being away; cancelling is left."""
    try:
        return await handling
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as error:
        raise RuntimeError(f"the handler raised {type(error).__name__}") from error


async def _stopped(task: asyncio.Task[R]) -> bool:
    """Cancel it; False where it goes on all the same, watched from now on."""
    task.cancel()
    end = time.monotonic() + GRACE_S
    while not task.done() and (left_s := end - time.monotonic()) > 0:
        # Who is told twice to stop this job stops it once.
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task], timeout=left_s)
    if task.done():
        return True
    log.error("job.handler_let_go", task=str(task.get_coro()))
    watch = asyncio.create_task(_watch(task, end - GRACE_S))
    _watches.add(watch)
    watch.add_done_callback(_watches.discard)
    return False


def _succeeded(task: asyncio.Task[R]) -> bool:
    return not task.cancelled() and task.exception() is None


async def _watch(task: asyncio.Task[R], since: float) -> None:
    """Say each minute that it is still there, and at last how it ended."""
    while not (await asyncio.wait([task], timeout=TELL_EVERY_S))[0]:
        log.warning("job.stray_goes_on", seconds=round(time.monotonic() - since, 1))
    error = None if task.cancelled() else task.exception()
    told = plain(said(error)) if error is not None else None
    log.warning("job.stray_ended", seconds=round(time.monotonic() - since, 1), error=told)
