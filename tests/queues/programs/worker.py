"""A worker process with kinds that end it, block it and take their time.

LEDGER is a file into which its handlers write where they began; locks, stall checks and leases
are scaled down to a second.
"""

import asyncio
import ctypes
import dataclasses
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import msgspec
from sqlalchemy import text

from app.core.database import Database
from app.core.ids import new_id
from app.core.logging import configure
from app.core.settings import Settings, load
from app.queues import consumer, isolated, limits, quarantine, slots
from app.queues.engine import Engine
from app.queues.job import Kinds, processor
from app.queues.push import Queues
from app.queues.runner import Runner
from app.queues.spec import Limits
from app.queues.work import Work
from app.queues.worker import WorkerProcess
from app.redis.broker import RedisBroker
from app.redis.connection import hasty, patient
from tests.queues.kinds import SHELL, Act

consumer.LOCK_MS, consumer.STALL_CHECK_MS, slots.LOCK_MS = 1000, 500, 1000
quarantine.GRACE_S, slots.RENEW_S, slots.STALLS_S, limits.LEASE_MS = 0.5, 0.25, 0.5, 1000
LIMITS = msgspec.json.decode(os.environ.get("LIMITS", "{}"), type=Limits)
SPEC = dataclasses.replace(SHELL, limits=LIMITS, timeout_s=float(os.environ.get("TIMEOUT_S", SHELL.timeout_s)))


def begin(payload: Act) -> None:
    with Path(os.environ["LEDGER"]).open("a") as ledger:
        ledger.write(f"{payload.n} {os.getpid()}\n")
    if payload.what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if payload.what == "exit":
        os._exit(3)
    if payload.what == "fault":
        ctypes.string_at(0)
    if payload.what == "deaf":
        time.sleep(60)
    while payload.what == "block" and len(Path(os.environ["LEDGER"]).read_text().splitlines()) < 2:
        time.sleep(0.05)  # until another process has begun with the same job


@processor(Act)
async def act(work: Work, payload: Act) -> None:
    begin(payload)
    if payload.what == "hold":
        await asyncio.Event().wait()
    async with work.transaction("effect") as session:
        if session is not None:
            # A table without unique keys, so that it would show what happened twice.
            await session.execute(text("INSERT INTO test_ledger VALUES (:n)"), {"n": payload.n})
            await work.complete(session)


def runner_of(settings: Settings, worker: UUID) -> tuple[Database, Engine, Runner]:
    database, kinds = Database(settings), Kinds((act,), frozenset([SPEC.name]))
    engine = Engine(hasty(settings.redis_url), settings.queue_prefix, {SPEC.name: SPEC})
    database.provide(queues=Queues(database, {SPEC.name: SPEC}, kinds, engine))
    return database, engine, Runner(database, kinds, {SPEC.name: SPEC}, worker)


@asynccontextmanager
async def open_runner(worker: UUID) -> AsyncIterator[Runner]:
    database, _, runner = runner_of(load(os.environ), worker)
    yield runner
    await database.close()


async def main(settings: Settings, template: isolated.Template) -> None:
    database, engine, runner = runner_of(settings, new_id())
    client, stop = patient(settings.redis_url), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    process = WorkerProcess(
        database, engine, runner, [SPEC], concurrency=int(os.environ["CONCURRENCY"]), client=client,
        broker=RedisBroker(engine.client, client, settings.key("live", "signals", "all")),
        template=template,
    )  # fmt: skip
    await process.run(stop)


if __name__ == "__main__":
    configure(load(os.environ))
    asyncio.run(main(load(os.environ), isolated.Template(open_runner)))
