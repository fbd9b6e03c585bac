"""The jobs that the harness asks for: handlers that leave traces outside the record of work, or misbehave.

Traces are rows of `ledger`, a table without any unique key, written in the handler's own transaction; lines of two
files, one for each start of a handler and one for each end of a handler that leaves nothing else; and what the receiver
logs of the calls that it gets.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.egress import Egress
from app.queues.core import CORE_QUEUES
from app.queues.failure import Unrecoverable
from app.queues.job import Job, Processor, processor
from app.queues.spec import Backoff, QueueSpec
from app.queues.work import Work

QUICK = QueueSpec("faults:quick", attempts=3, backoff=Backoff("exponential", 1), timeout_s=20)
LONG = QueueSpec("faults:long", attempts=3, backoff=Backoff("fixed", 1), timeout_s=120)
QUEUES = (QUICK, LONG)
CALL_S = 3.0
HUGE = 20_000_000
WRITE = text("INSERT INTO ledger (mark, entry, job, pid) VALUES (:mark, :entry, :job, :pid)")


class Deed(Job, kind="", queue=""):
    """What a job is to do. `mark` is its name in every trace; `seconds` is how long it takes over it."""

    mark: str
    what: str
    seconds: float = 0
    filler: str = ""


def _deed(queue: str) -> type[Deed]:
    class Asked(Deed, kind=f"deed_{queue.replace(':', '_')}", queue=queue):
        pass

    return Asked


DEEDS = {spec.name: _deed(spec.name) for spec in (*QUEUES, *CORE_QUEUES)}


async def write(session: AsyncSession, mark: str, entry: str, job: str) -> None:
    await session.execute(WRITE, {"mark": mark, "entry": entry, "job": job, "pid": os.getpid()})


async def effect(work: Work, deed: Deed) -> None:
    """An effect and the job's end in one transaction."""
    await asyncio.sleep(deed.seconds)
    async with work.transaction("effect") as session:
        if session is not None:
            await write(session, deed.mark, "effect", str(work.job_id))
            await work.complete(session)


async def step(work: Work, deed: Deed) -> None:
    """An effect in a transaction of its own; the job's end comes later, with others."""
    async with work.transaction("effect") as session:
        if session is not None:
            await write(session, deed.mark, "effect", str(work.job_id))
    await asyncio.sleep(deed.seconds)


async def deaf(work: Work, deed: Deed) -> None:
    """Lets nobody stop it, and has its effect all the same."""
    end = time.monotonic() + deed.seconds
    while (left_s := end - time.monotonic()) > 0:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(left_s)
    await effect(work, Deed(mark=deed.mark, what="effect"))


async def plain(_: Work, deed: Deed) -> dict[str, Any]:
    """No effect in the database at all: what it was asked for is done when its line stands."""
    await asyncio.sleep(deed.seconds)
    _note("done", deed.mark)
    return {"mark": deed.mark}


async def call(work: Work, deed: Deed) -> None:
    """Intent, a call to somebody else with the job's id as its key, done."""
    async with work.transaction("intent"):
        pass
    _, _, manner = deed.what.partition(":")
    answer = await _egress().request(
        "POST", f"{os.environ['FAULTS_RECEIVER']}/{manner or 'ok'}", json={"mark": deed.mark},
        headers={"Idempotency-Key": str(work.job_id)}, timeout=CALL_S, private_ok=True,
    )  # fmt: skip
    if answer.status != 200:
        raise RuntimeError(f"the receiver answered {answer.status}")
    await effect(work, deed)


async def fail(_: Work, deed: Deed) -> None:
    await asyncio.sleep(deed.seconds)
    raise ValueError(f"this deed always fails: {deed.mark}")


async def flaky(work: Work, deed: Deed) -> None:
    if work.attempt == 1:
        raise ValueError("the first attempt fails")
    await effect(work, deed)


async def mend(work: Work, deed: Deed) -> None:
    """Dies at once, until somebody has mended its cause. Each try looks for itself, in a step that it names."""
    async with work.transaction(f"look:{work.this_try}") as session:
        if session is None:
            return  # a name that an earlier run has used: nothing was looked at, so nothing is done
    if not (_folder() / "mended").exists():
        raise Unrecoverable("nobody has mended it yet")
    await effect(work, deed)


async def die(_: Work, deed: Deed) -> None:
    """Poison: the process is gone, without a word."""
    await asyncio.sleep(deed.seconds)
    os.kill(os.getpid(), signal.SIGKILL)


async def block(work: Work, deed: Deed) -> None:
    time.sleep(deed.seconds)  # noqa: ASYNC251 - this is the sin
    await effect(work, Deed(mark=deed.mark, what="effect"))


async def cancel(_: Work, __: Deed) -> None:
    raise asyncio.CancelledError


async def cancel_itself(_: Work, __: Deed) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def leave(_: Work, __: Deed) -> None:
    sys.exit(3)


async def interrupt(_: Work, __: Deed) -> None:
    raise KeyboardInterrupt


async def silent(_: Work, __: Deed) -> None:
    raise TimeoutError


async def stop_iteration(_: Work, __: Deed) -> None:
    raise StopAsyncIteration


async def recurse(work: Work, deed: Deed) -> None:
    await recurse(work, deed)


async def nan(_: Work, __: Deed) -> dict[str, Any]:
    return {"value": float("nan")}


async def not_json(_: Work, __: Deed) -> dict[str, Any]:
    return {"value": {1, 2, 3}}


async def huge(_: Work, deed: Deed) -> dict[str, Any]:
    _note("done", deed.mark)
    return {"value": "x" * HUGE}


async def nul_error(_: Work, __: Deed) -> None:
    raise ValueError("a\0b")


async def nul_line(work: Work, _: Deed) -> None:
    work.log("a\0b")
    raise ValueError("after a line")


async def surrogate(_: Work, __: Deed) -> None:
    raise ValueError("a\ud800b")


async def mute(_: Work, __: Deed) -> None:
    raise _Mute


class _Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("nothing can be said")


SINS: dict[str, Callable[[Work, Deed], Awaitable[Any]]] = {
    "cancel": cancel,
    "cancel_itself": cancel_itself,
    "exit": leave,
    "interrupt": interrupt,
    "silent": silent,
    "stop_iteration": stop_iteration,
    "recurse": recurse,
    "nan": nan,
    "not_json": not_json,
    "huge": huge,
    "nul_error": nul_error,
    "nul_line": nul_line,
    "surrogate": surrogate,
    "mute": mute,
}
DOINGS = SINS | {
    "effect": effect,
    "step": step,
    "deaf": deaf,
    "plain": plain,
    "call": call,
    "fail": fail,
    "flaky": flaky,
    "mend": mend,
    "die": die,
    "block": block,
}


async def handle(work: Work, deed: Deed) -> dict[str, Any] | None:
    _note("tries", deed.mark)
    done: dict[str, Any] | None = await DOINGS[deed.what.partition(":")[0]](work, deed)
    return done


async def dead(session: AsyncSession, deed: Deed, error: str) -> None:
    await write(session, deed.mark, "dead", error[:200])


def processors() -> list[Processor]:
    made = [processor(kind)(handle) for kind in DEEDS.values()]
    for each in made:
        each.dead(dead)
    return made


def _note(file: str, mark: str) -> None:
    # One short write in append mode: whole lines, whoever else writes.
    os.write(_opened(file), f"{mark} {os.getpid()}\n".encode())


def _folder() -> Path:
    return Path(os.environ["FAULTS_FOLDER"])


@cache
def _opened(file: str) -> int:
    return os.open(_folder() / file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


@cache
def _egress() -> Egress:
    return Egress()
