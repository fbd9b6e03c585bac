"""Worker processes of the tests' own, kept running as a supervisor does."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path

PROGRAM = Path(__file__).parent / "programs" / "worker.py"


class Fleet:
    def __init__(self, ledger: Path, environment: dict[str, str]) -> None:
        self._ledger = ledger
        self._environment = environment | {"LEDGER": str(ledger), "PYTHONPATH": str(PROGRAM.parents[3])}
        self._tasks: list[asyncio.Task[None]] = []
        self._processes: set[Process] = set()
        self.ends: list[int | None] = []
        """Exit codes of workers that ended by themselves."""

    async def start(self, *, keep: bool = True, **environment: str) -> Process:
        """One worker process; with `keep` it is started again when it dies."""
        process = await self._spawn(environment)
        self._tasks.append(asyncio.create_task(self._keep(process, environment, keep)))
        return process

    def began(self, n: int) -> list[int]:
        """The processes in which this job's handler began, in order."""
        if not self._ledger.exists():
            return []
        words = [line.split() for line in self._ledger.read_text().splitlines()]
        return [int(pid) for job, pid in words if job == str(n)]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()

    async def _spawn(self, environment: dict[str, str]) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), env={"PATH": os.environ["PATH"]} | self._environment | environment
        )
        self._processes.add(process)
        return process

    async def _keep(self, process: Process, environment: dict[str, str], keep: bool) -> None:
        while True:
            self.ends.append(await process.wait())
            if not keep:
                return
            process = await self._spawn(environment)
