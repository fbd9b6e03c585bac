"""The worker root: serves queues until it is told to stop."""

import asyncio
import signal
from typing import Any

import structlog
from sqlalchemy import text

from app import checks, registry
from app.core.database import SYSTEM
from app.core.ids import new_id
from app.core.settings import Settings, SettingsError
from app.process import Process, resources
from app.queues.runner import Runner
from app.queues.schedules import enqueue_due
from app.queues.worker import Loop, WorkerProcess

log = structlog.get_logger()
MONTHS_AHEAD = 3


async def run(settings: Settings, queues: tuple[str, ...] = ()) -> None:
    """Serve `queues` (all, where none is named) until SIGTERM or SIGINT.

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
        await _serve(process, [known[name] for name in queues or known], stop)
    finally:
        await process.close()


async def _serve(process: Process, specs: list[Any], stop: asyncio.Event) -> None:
    found = await checks.boot(process.database, process.queue_redis, process.settings)
    errors = [f"{item.part}: {item.message}. {item.remedy}" for item in found if item.level == "error"]
    if errors:
        raise SettingsError(errors)
    await process.database.measure_clock()
    runner = Runner(process.database, process.kinds, registry.specs(), new_id(), resources(process.settings))
    worker = WorkerProcess(
        process.database,
        process.engine,
        runner,
        specs,
        concurrency=process.settings.worker_concurrency,
        client=process.patient_redis,
        extra_loops=_loops(process),
    )
    await worker.run(stop)


def _loops(process: Process) -> list[Loop]:
    declared = registry.schedules()

    async def schedules() -> None:
        async with process.database.transaction(SYSTEM) as session:
            await enqueue_due(session, declared)

    async def partitions() -> None:
        async with process.database.transaction(SYSTEM) as session:
            await session.execute(text("SELECT teknav_make_partitions(:months)"), {"months": MONTHS_AHEAD})

    return [
        ("schedules", 5.0, schedules),
        ("partitions", 3600.0, partitions),
        ("clock", 600.0, process.database.measure_clock),
    ]
