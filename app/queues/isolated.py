"""Processes for suspects. A worker forks a template before its loop begins, when it holds neither sockets nor threads;
the template forks a guard for each suspect, and the guard the process that runs it, and tells how that one ended.

So every suspect has a process of its own with fresh connections, for the price of two forks instead of a start. Guard,
process and worker speak over one socket, a line for each message. Each of them ends with the one that forked it.
"""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from uuid import UUID

import msgspec
import structlog

from app.core import leash
from app.queues.failure import Failure, plain, said
from app.queues.runner import Runner

OpenRunner = Callable[[UUID], AbstractAsyncContextManager[Runner]]
"""A runner for the attempts of this worker, with connections of its own."""


class Request(msgspec.Struct, frozen=True):
    worker: UUID
    job_id: UUID
    run: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The process that waits for a job, and its guard."""

    pid: int
    guard: int


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


Message = Ready | Report | Broken | Ended


class Template:
    """A copy of this process as it is now. To be made where no loop, thread or connection is there yet."""

    def __init__(self, open_runner: OpenRunner) -> None:
        # What is frozen now is not written to later by looking for garbage, and stays one copy for both.
        gc.freeze()
        self._line, theirs = socket.socketpair()
        worker = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._line.close()
            _be(lambda: _serve(open_runner, theirs, worker))
        theirs.close()

    def ask(self) -> socket.socket:
        """A line to a process of its own, which says that it is `Ready`, takes one `Request` and ends with the line.

        Raises:
            OSError: the template is gone.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._line, [b"."], [theirs.fileno()])
        return ours

    async def watch(self) -> None:
        """
        Raises:
            RuntimeError: it has ended, so no suspect can run here any more.
        """
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._line, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._line)
        raise RuntimeError("the template of the processes for suspects has ended")

    def close(self) -> None:
        """End it; where the kernel can tell them, what it forked ends too."""
        self._line.close()
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def _serve(open_runner: OpenRunner, line: socket.socket, worker: int) -> None:
    os.setsid()  # Ctrl-C at the terminal reaches the worker alone
    leash.end_with(worker, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a guard ended
    template = os.getpid()
    while True:
        _, given, _, _ = socket.recv_fds(line, 1, 1)
        if not given:
            return  # the worker has ended
        with socket.socket(fileno=given[0]) as theirs:
            if os.fork() == 0:
                line.close()
                _be(lambda: _guard(open_runner, theirs, template))


def _guard(open_runner: OpenRunner, line: socket.socket, template: int) -> None:
    leash.end_with(template, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    guard = os.getpid()
    pid = os.fork()
    if pid == 0:
        _be(lambda: _run(open_runner, line, guard))
    _, status = os.waitpid(pid, 0)
    _tell(line, Ended(os.waitstatus_to_exitcode(status)))


def _run(open_runner: OpenRunner, line: socket.socket, guard: int) -> None:
    leash.end_with(guard, signal.SIGKILL)
    _tell(line, Ready(os.getpid(), guard))
    with line.makefile("rb") as requests:
        request = requests.readline()
    if not request:
        return  # nobody wants it any more
    try:
        message: Message = asyncio.run(_attempt(open_runner, msgspec.json.decode(request, type=Request)))
    except Exception as error:
        message = Broken(plain(said(error)))
    _tell(line, message)


def _be(role: Callable[[], None]) -> None:
    """Whatever a handler has left behind, threads and exit functions too, ends here, and never in the caller's code."""
    code = 1
    try:
        role()
        code = 0
    except OSError:
        pass  # the one at the other end of the line has gone
    except Exception:
        structlog.get_logger().exception("suspects.process_failed")
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)


async def _attempt(open_runner: OpenRunner, request: Request) -> Report:
    async with open_runner(request.worker) as runner:
        outcome = await runner.attempt(request.job_id, request.run)
        return Report(outcome.row.attempt if outcome.row else None, outcome.failure, outcome.lines)


def _tell(line: socket.socket, message: Message) -> None:
    line.sendall(msgspec.json.encode(message) + b"\n")
