"""The worker root: serves queues until it is told to stop."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

import structlog
import uvloop

from app import checks, registry
from app.core.garbage import collect_less
from app.core.settings import Settings, SettingsError
from app.process import Process
from app.queues.isolated import Template
from app.queues.loops import Loop
from app.queues.runner import Runner
from app.queues.worker import WorkerProcess

CLOCK_S = 600.0
LEAVE_S = 23.5
"""Jobs have 20 s to end and 3 s to stop; supervisors wait 24 s at least."""


def serve(settings: Settings, queues: tuple[str, ...] = ()) -> None:
    """Serve `queues` (all, where none is named) until SIGTERM or SIGINT.

    Raises:
        SettingsError: a part is missing or unsafe, or a queue is unknown.
    """
    uvloop.run(run(settings, queues, suspects_of(settings)))


async def run(settings: Settings, queues: tuple[str, ...], template: Template | None) -> None:
    """As `serve`, with suspects in processes that are forked from `template`.

    Raises:
        SettingsError: a part is missing or unsafe, or a queue is unknown.
    """
    known = registry.specs()
    unknown = [name for name in queues if name not in known]
    if unknown:
        raise SettingsError([f"There is no queue {name!r}; there are {', '.join(known)}" for name in unknown])
    process = Process.open(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await checks.refuse_unsafe(process.database, process.queue_redis, settings)
        await process.database.measure_clock()
        worker = WorkerProcess(
            process.database,
            process.engine,
            process.runner(),
            [known[name] for name in queues or known],
            concurrency=settings.worker_concurrency,
            client=process.patient_redis,
            led=process.loops(),
            own=[Loop("clock", CLOCK_S, process.database.measure_clock)],
            broker=process.broker,
            template=template,
            hang_s=settings.worker_hang_s,
            stopping=lambda: leave_within(LEAVE_S),
        )
        collect_less()
        await worker.run(stop)
    finally:
        await process.close()


def suspects_of(settings: Settings) -> Template:
    """What the processes are forked from that run the jobs of workers that died."""

    @asynccontextmanager
    async def runner(worker: UUID) -> AsyncGenerator[Runner, None]:
        process = Process.open(settings)
        try:
            yield process.runner(worker)
        finally:
            await process.close()

    return Template(runner)


def leave_within(seconds: float) -> None:
    """End this process by then, whatever still holds it: a handler that does not let itself be stopped, a thread that
    computes, a database that does not answer. All that was in hand has been handed back before, or will stall."""

    def leave() -> None:
        structlog.get_logger().warning("worker.left", seconds=seconds)
        sys.stderr.flush()
        os._exit(0)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()
