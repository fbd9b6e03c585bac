"""Suspects of a crash run alone: a job whose worker was lost is run in a process of its own.

If it ends that process too, the attempt is its own and nobody else's. An innocent one completes there like anywhere.
"""

import asyncio
import os
import signal
from contextlib import suppress
from uuid import UUID

import msgspec
import structlog

from app.queues.failure import Failure
from app.queues.isolated import Broken, Ended, Message, Ready, Report, Request, Template
from app.queues.models import UNFINISHED, State
from app.queues.runner import Outcome, Runner

log = structlog.get_logger()
AT_ONCE = 4
"""After a crash there may be fifty suspects with long work before them. Each has connections of its own."""
GRACE_S = 5.0
"""Beyond its time limit, within which the process itself should have ended the attempt."""
START_S = 60.0
LONGEST_LINE = 16_000_000


class Quarantine:
    """
    Args:
        template: what the processes are forked from.
        runner: of this worker process, for what the other one cannot write into the record any more.
    """

    def __init__(self, template: Template, runner: Runner) -> None:
        self._template = template
        self._runner = runner
        self._places = asyncio.Semaphore(AT_ONCE)
        self._at_work: set[Ready] = set()

    async def watch(self) -> None:
        """
        Raises:
            RuntimeError: there can be no further process.
        """
        await self._template.watch()

    async def attempt(self, job_id: UUID, run: int) -> Outcome:
        """As `Runner.attempt` does it, in the other process.

        Raises:
            RuntimeError: it could not be made there, which is not the job's fault.
        """
        row = await self._runner.row(job_id, run)
        if row is None or row.state not in UNFINISHED:
            return Outcome(None)
        limit_s = self._runner.limit_s(row)
        try:
            async with self._places:
                log.info("job.quarantined", job_id=str(job_id))
                async with asyncio.timeout(START_S + limit_s + GRACE_S) as bound:
                    told = await self._run(Request(self._runner.worker, job_id, run), bound, limit_s)
        except TimeoutError:
            why = f"the job took longer than {limit_s:g} s and did not let itself be stopped"
            return await self._died(job_id, run, Failure.told("TimeoutError", why))
        except asyncio.CancelledError:
            row = await self._runner.row(job_id, run)
            if row is not None and await self._runner.stopped(row, []):
                return Outcome(row, cancelled=True)
            raise
        if isinstance(told, Ended):
            return await self._died(
                job_id, run, Failure.told("ProcessDied", f"the job ended its process: {_how(told)}")
            )
        row = await self._runner.row(job_id, run)
        if told.attempt is None or row is None or row.attempt != told.attempt:
            return Outcome(None)
        return Outcome(row, told.failure, told.lines)

    def close(self) -> None:
        """End the other processes, whatever they do."""
        for each in self._at_work:
            # The guard first: it must not tell that the job has ended its process.
            _kill(each.guard)
            _kill(each.pid)
        self._template.close()

    async def _run(self, request: Request, bound: asyncio.Timeout, limit_s: float) -> Report | Ended:
        """What was reported; else how the process ended that had the job."""
        reader, writer = await asyncio.open_unix_connection(sock=self._template.ask(), limit=LONGEST_LINE)
        report: Report | Broken | None = None
        ready: Ready | None = None
        try:
            while line := await reader.readline():
                match msgspec.json.decode(line, type=Message):
                    case Ready() as ready:
                        self._at_work.add(ready)
                        bound.reschedule(asyncio.get_running_loop().time() + limit_s + GRACE_S)
                        writer.write(msgspec.json.encode(request) + b"\n")
                    case Ended() as ended:
                        break
                    case report:
                        pass
            else:
                raise RuntimeError("the process for a suspect was ended")
        except BaseException:
            if ready is not None:
                _kill(ready.pid)  # the guard notes it, finds nobody to tell, and ends
            raise
        finally:
            if ready is not None:
                self._at_work.discard(ready)
            writer.close()
        if isinstance(report, Broken):
            raise RuntimeError(report.message)
        return report or ended

    async def _died(self, job_id: UUID, run: int, failure: Failure) -> Outcome:
        row = await self._runner.row(job_id, run)
        if row is None or row.state not in UNFINISHED:
            return Outcome(None)
        if row.state != State.ACTIVE or row.worker != self._runner.worker:
            raise RuntimeError(f"the job was not begun: {failure.message}")
        log.warning("job.attempt_failed", error=failure.message, error_class=failure.error_class)
        return Outcome(row, failure)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _how(ended: Ended) -> str:
    if ended.code >= 0:
        return f"exit code {ended.code}"
    try:
        return f"signal {-ended.code}, {signal.Signals(-ended.code).name}"
    except ValueError:
        return f"signal {-ended.code}"
