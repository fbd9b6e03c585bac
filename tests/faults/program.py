"""One process of the stage: started, killed, brought back as a supervisor would."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from app.core import leash

ROOT = Path(__file__).parents[2]
PAUSE_S = 0.3


class Program:
    """`arguments` go to this Python; what it prints is appended to `log`. It ends when the harness does."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.arguments, self.environment, self.log = arguments, dict(environment), log
        self.deaths = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def start(self) -> None:
        command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), sys.executable, *self.arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_S)
            if self._process is not None and self._process.poll() is not None:
                self.deaths += 1
                self._sweep()
                self.start()

    def kill(self) -> None:
        """kill -9, with all that it started. It comes back by itself."""
        self._sweep()

    def _sweep(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def stop(self, grace_s: float = 40) -> float:
        """SIGTERM; returns how many seconds it took to end. It stays ended."""
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
        process, self._process = self._process, None
        if process is None:
            return 0.0
        asked = time.monotonic()
        process.terminate()
        while process.poll() is None and time.monotonic() < asked + grace_s:
            await asyncio.sleep(0.02)
        took = time.monotonic() - asked
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return took
