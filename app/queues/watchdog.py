"""Sees that a worker hangs, says where, and ends it if it goes on: whoever started it starts it again.

Two things can hang: the event loop, which a handler blocks, and the slots, which stop asking for jobs. The loop winds
a clock that only it can wind. A thread tells where the loop is when it is late; the end comes from a timer in C, which
goes off even when the code that blocks never lets another thread run.
"""

import asyncio
import faulthandler
import sys
import threading
import time
import traceback
from collections.abc import Callable

import structlog

log = structlog.get_logger()
WIND_S = 0.5
LATE_S = 5.0
STILL_S = 20.0
"""The slots go round at least every ten seconds, whether there are jobs or not."""
DEEPEST = 40


class Watchdog:
    """
    Args:
        hang_s: so many seconds without a sign of life, and the process ends with exit code 1 and the stacks of all
            its threads on standard error; 0 never ends it.
        idle_s: how many seconds ago the slots last went round.
    """

    def __init__(self, hang_s: float, idle_s: Callable[[], float]) -> None:
        self._hang_s = hang_s
        self._idle_s = idle_s
        self._wound_at = time.monotonic()
        self._lag_s = 0.0
        self._done = threading.Event()

    def lag_ms(self) -> float:
        """How late the loop was at worst since this was last asked; milliseconds."""
        worst = max(self._lag_s, time.monotonic() - self._wound_at - WIND_S)
        self._lag_s = 0.0
        return round(worst * 1000, 1)

    async def run(self) -> None:
        """For ever, until cancelled."""
        self._done.clear()
        threading.Thread(target=self._watch, args=(threading.get_ident(),), name="watchdog", daemon=True).start()
        try:
            while True:
                self._wind()
                await asyncio.sleep(WIND_S)
        finally:
            self._done.set()
            faulthandler.cancel_dump_traceback_later()

    def _wind(self) -> None:
        now = time.monotonic()
        self._lag_s = max(self._lag_s, now - self._wound_at - WIND_S)
        self._wound_at = now
        left_s = self._hang_s
        if (idle_s := self._idle_s()) > STILL_S:
            log.warning("worker.slots_stand_still", seconds=round(idle_s, 1))
            left_s -= idle_s
        if left_s > 0:  # else the timer from before is about to go off
            faulthandler.dump_traceback_later(left_s, exit=True)

    def _watch(self, loop_thread: int) -> None:
        told = False
        while not self._done.wait(WIND_S):
            late_s = time.monotonic() - self._wound_at
            if late_s < LATE_S:
                told = False
            elif not told:
                told = True
                frame = sys._current_frames().get(loop_thread)
                stack = "".join(traceback.format_stack(frame)[-DEEPEST:])
                log.warning("worker.loop_blocked", seconds=round(late_s, 1), stack=stack)
