"""How the person at the terminal stops `teknav up`."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Stop:
    """`asked` is set by the first Ctrl-C, SIGTERM or closed terminal, `forced` by the second."""

    def __init__(self) -> None:
        self.asked, self.forced = asyncio.Event(), asyncio.Event()

    def signal(self) -> None:
        (self.forced if self.asked.is_set() else self.asked).set()

    async def first(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of `work`; None, with `work` cancelled, when the person asked to stop before it came."""
        task, asked = asyncio.create_task(work), asyncio.create_task(self.asked.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            return None
        finally:
            asked.cancel()
            task.cancel()
            await asyncio.wait({task})


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Listen for signals while the block runs. What was ignored before (`nohup`) stays ignored."""
    stop, loop = Stop(), asyncio.get_running_loop()
    heard = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    ]
    for number in heard:
        loop.add_signal_handler(number, stop.signal)
    try:
        yield stop
    finally:
        for number in heard:
            loop.remove_signal_handler(number)
