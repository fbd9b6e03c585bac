"""Suspects of a crash run alone: a job whose worker was lost is run in a process of its own.

If it ends that process too, the attempt is its own and nobody else's. An innocent one completes there like anywhere.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import msgspec
import structlog

from app.core import leash
from app.core.database import SYSTEM, Database
from app.queues.failure import Failure
from app.queues.isolated import Began, Broken, Ended, Message, Report, Request
from app.queues.models import UNFINISHED, JobRow, State
from app.queues.runner import Outcome, Runner

log = structlog.get_logger()
IDLE_S = 30.0
GRACE_S = 5.0
"""Beyond its time limit, within which the process itself should have ended the attempt."""
START_S = 60.0
LONGEST_LINE = 16_000_000


class Quarantine:
    """
    Args:
        command: starts a process that calls `isolated.serve`.
        runner: of this worker process, for what the other one cannot write into the record any more.
    """

    def __init__(self, command: Sequence[str], database: Database, runner: Runner) -> None:
        self._command = command
        self._database = database
        self._runner = runner
        self._alone = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._at_work: int | None = None
        self._idle: asyncio.TimerHandle | None = None

    async def attempt(self, job_id: UUID, run: int) -> Outcome:
        """As `Runner.attempt` does it, in the other process.

        Raises:
            RuntimeError: it could not be made there, which is not the job's fault.
        """
        row = await self._row(job_id, run)
        if row is None or row.state not in UNFINISHED:
            return Outcome(None)
        limit_s = self._runner.limit_s(row)
        try:
            async with self._alone:
                log.info("job.quarantined", job_id=str(job_id))
                async with asyncio.timeout(START_S + limit_s + GRACE_S) as bound:
                    told = await self._run(Request(self._runner.worker, job_id, run), bound, limit_s)
        except TimeoutError:
            why = f"the job took longer than {limit_s:g} s and did not let itself be stopped"
            return await self._died(job_id, run, Failure.told("TimeoutError", why))
        except asyncio.CancelledError:
            row = await self._row(job_id, run)
            if row is not None and await self._runner.stopped(row, []):
                return Outcome(row, cancelled=True)
            raise
        if isinstance(told, Ended):
            return await self._died(
                job_id, run, Failure.told("ProcessDied", f"the job ended its process: {_how(told)}")
            )
        row = await self._row(job_id, run)
        if told.attempt is None or row is None or row.attempt != told.attempt:
            return Outcome(None)
        return Outcome(row, told.failure, told.lines)

    async def close(self) -> None:
        """End the other process, whatever it does."""
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is None:
            return
        for pid in (self._at_work, process.pid if process.returncode is None else None):
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._at_work = None
        await process.wait()

    async def _run(self, request: Request, bound: asyncio.Timeout, limit_s: float) -> Report | Ended:
        """What was reported; else how the process ended that had the job."""
        process = await self._ready()
        assert process.stdin is not None
        assert process.stdout is not None
        report: Report | Broken | None = None
        try:
            process.stdin.write(msgspec.json.encode(request) + b"\n")
            while line := await process.stdout.readline():
                match msgspec.json.decode(line, type=Message):
                    case Began(pid=pid):
                        self._at_work = pid
                        bound.reschedule(asyncio.get_running_loop().time() + limit_s + GRACE_S)
                    case Ended() as ended:
                        self._at_work = None
                        self._end_when_idle()
                        break
                    case report:
                        pass
            else:
                raise RuntimeError(f"the process for suspects ended: {_how(Ended(await process.wait()))}")
        except BaseException:
            await self.close()
            raise
        if isinstance(report, Broken):
            raise RuntimeError(report.message)
        return report or ended

    async def _ready(self) -> asyncio.subprocess.Process:
        if self._idle is not None:
            self._idle.cancel()
        if self._process is None or self._process.returncode is not None:
            # In a session of its own, so that Ctrl-C at the terminal reaches this worker alone.
            self._process = await asyncio.create_subprocess_exec(
                *leash.command(*self._command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
                limit=LONGEST_LINE,
            )
        return self._process

    def _end_when_idle(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        self._idle = asyncio.get_running_loop().call_later(IDLE_S, process.stdin.close)

    async def _died(self, job_id: UUID, run: int, failure: Failure) -> Outcome:
        row = await self._row(job_id, run)
        if row is None or row.state not in UNFINISHED:
            return Outcome(None)
        if row.state != State.ACTIVE or row.worker != self._runner.worker:
            raise RuntimeError(f"the job was not begun: {failure.message}")
        log.warning("job.attempt_failed", error=failure.message, error_class=failure.error_class)
        return Outcome(row, failure)

    async def _row(self, job_id: UUID, run: int) -> JobRow | None:
        async with self._database.transaction(SYSTEM) as session:
            row = await session.get(JobRow, job_id)
        return row if row is not None and row.run == run else None


def _how(ended: Ended) -> str:
    if ended.code >= 0:
        return f"exit code {ended.code}"
    try:
        return f"signal {-ended.code}, {signal.Signals(-ended.code).name}"
    except ValueError:
        return f"signal {-ended.code}"
