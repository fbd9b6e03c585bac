"""The child process in which suspects run: it forks one process more for each job, and tells how that one ended.

So every job has a process of its own with fresh connections, for the price of a fork instead of a start. Requests come
in by standard input, one line each; reports leave by what was standard output, where a handler cannot write to.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import msgspec

from app.core import leash
from app.queues.failure import Failure, plain, said
from app.queues.runner import Runner

OpenRunner = Callable[[UUID], AbstractAsyncContextManager[Runner]]
"""A runner for the attempts of this worker, with connections of its own."""


class Request(msgspec.Struct, frozen=True):
    worker: UUID
    job_id: UUID
    run: int


class Began(msgspec.Struct, frozen=True, tag="began"):
    """The process that has the job."""

    pid: int


class Report(msgspec.Struct, frozen=True, tag="report"):
    """How the attempt went, as `runner.Outcome` says it; `attempt` is None where there was nothing to do."""

    attempt: int | None
    failure: Failure | None
    lines: tuple[str, ...]


class Broken(msgspec.Struct, frozen=True, tag="broken"):
    """The record could not be reached, or the runner could not be made: none of the job's doing."""

    message: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The exit code of the process that had the job; negative is the signal that ended it."""

    code: int


Message = Began | Report | Broken | Ended


def serve(open_runner: OpenRunner) -> None:
    """Until standard input ends."""
    reports = os.dup(1)
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _be_the_one(open_runner, msgspec.json.decode(line, type=Request), reports, parent)
        _, status = os.waitpid(pid, 0)
        _tell(reports, Ended(os.waitstatus_to_exitcode(status)))


def _be_the_one(open_runner: OpenRunner, request: Request, reports: int, parent: int) -> None:
    code = 1
    try:
        leash.end_with(parent, signal.SIGKILL)
        _tell(reports, Began(os.getpid()))
        try:
            message: Message = asyncio.run(_attempt(open_runner, request))
        except Exception as error:
            message = Broken(plain(said(error)))
        _tell(reports, message)
        code = 0
    finally:
        # Whatever the handler has left behind, threads and exit functions too, ends here.
        sys.stderr.flush()
        os._exit(code)


async def _attempt(open_runner: OpenRunner, request: Request) -> Report:
    async with open_runner(request.worker) as runner:
        outcome = await runner.attempt(request.job_id, request.run)
        return Report(outcome.row.attempt if outcome.row else None, outcome.failure, outcome.lines)


def _tell(reports: int, message: Message) -> None:
    data = msgspec.json.encode(message) + b"\n"
    while data:
        data = data[os.write(reports, data) :]
