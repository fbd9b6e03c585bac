"""A process of ours that is kept running: started, started again when it dies, ended on request."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from app.core import leash
from app.embedded.logs import open_log
from app.embedded.terminal import say

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
STEADY_S = 30.0  # after living this long, the next pause is the first again


class Child:
    """One child process, in a session of its own, which ends when we do.

    Args:
        arguments: given to this Python, such as `("-m", "app.cli", "web")`.
        log: where its output goes; None leaves it on our terminal.
    """

    def __init__(self, name: str, arguments: Sequence[str], log: Path | None) -> None:
        self.name, self.log = name, log
        self.environment: Mapping[str, str] = {}
        self._arguments = arguments
        self._process: Process | None = None

    async def start(self) -> None:
        command = leash.command(sys.executable, *self._arguments)
        output = open_log(self.log) if self.log else None
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                env=dict(self.environment), start_new_session=True,
            )  # fmt: skip
        finally:
            if output:
                output.close()

    async def ended(self) -> int:
        """Wait until the process is gone, sweep away what it started, and return its exit code."""
        assert self._process is not None
        process = self._process
        code = await process.wait()
        _kill_group(process)  # a killed web server leaves workers that hold the port
        self._process = None
        return code

    async def keep(self, final: Collection[int] = ()) -> int:
        """Start it again whenever it ends, with growing pauses; runs until cancelled.

        Args:
            final: exit codes after which it is not started again; the one it ended with is returned.
        """
        clock = asyncio.get_running_loop().time
        pause = FIRST_PAUSE_S
        while True:
            born = clock()
            code = await self.ended()
            if code in final:
                return code
            if clock() - born > STEADY_S:
                pause = FIRST_PAUSE_S
            say(f"{self.name} ended (exit code {code}); it starts again in {pause:g} s.")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)
            await self.start()

    def terminate(self) -> None:
        """Ask the process to end; whoever runs `keep` starts it with the environment of that moment."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    async def stop(self, grace_s: float, forced: asyncio.Event) -> None:
        """SIGTERM, then after `grace_s` seconds, or at once when `forced` is set, SIGKILL to its session."""
        if self._process is None:
            return
        process = self._process
        self.terminate()
        end = asyncio.create_task(process.wait())
        force = asyncio.create_task(forced.wait())
        await asyncio.wait({end, force}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        force.cancel()
        _kill_group(process)
        await end
        self._process = None


def _kill_group(process: Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
