"""The worker process: BullMQ's workers around our runner, and the loops of the one that leads."""

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from uuid import UUID

import bullmq
import structlog
from bullmq.custom_errors import DelayedError, UnrecoverableError
from redis.asyncio import Redis
from sqlalchemy import delete, func, text
from sqlalchemy.dialects.postgresql import insert

from app import __version__
from app.core.database import SYSTEM, Database
from app.queues import deadletter
from app.queues.engine import Engine
from app.queues.failure import Failure
from app.queues.leader import Leader
from app.queues.loops import Loop, Loops
from app.queues.models import JobRow, WorkerRow
from app.queues.relay import Reconciler, Relay
from app.queues.runner import Outcome, Runner
from app.queues.spec import QueueSpec

log = structlog.get_logger()
LOCK_MS = 10_000
STALL_CHECK_MS = 5_000
STOP_S = 20.0
HAND_BACK_S = 3.0
HAND_BACK_MS = 2_000
BEAT_S = 5
FORGET_AFTER = text("now() - interval '1 day'")


class WorkerProcess:
    """Serves some queues until it is told to stop. `led` are loops for while this process leads, `own` for always."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        runner: Runner,
        specs: Sequence[QueueSpec],
        *,
        concurrency: int,
        client: Redis,
        led: Sequence[Loop] = (),
        own: Sequence[Loop] = (),
    ) -> None:
        self._database = database
        self._engine = engine
        self._runner = runner
        self._specs = specs
        self._concurrency = concurrency
        self._client = client
        self._workers: list[bullmq.Worker] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._in_hand: set[str] = set()
        self._died: dict[str, Outcome] = {}
        relay, reconciler = Relay(database, engine), Reconciler(database, engine, runner)
        led = [
            Loop("epoch", 2.0, reconciler.check_epoch),
            Loop("pauses", 5.0, reconciler.mirror_pauses),
            Loop("relay", 0.5, relay.push_pending),
            Loop("reconcile", 5.0, reconciler.sweep),
            Loop("tidy", 30.0, reconciler.tidy),
            *led,
        ]
        self._loops = Loops(Leader(database, runner.worker), led, own=[Loop("beat", BEAT_S, self._beat), *own])

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then let running jobs end, for at most 20 seconds."""
        await self._beat()
        for spec in self._specs:
            self._workers.append(await self._start(spec))
        log.info("worker.started", queues=[spec.name for spec in self._specs], worker=str(self._runner.worker))
        loops = asyncio.create_task(self._loops.run())
        await stop.wait()
        log.info("worker.stopping", jobs=len(self._in_hand))
        await self._close()
        loops.cancel()
        await asyncio.gather(loops, return_exceptions=True)
        await self._say_goodbye()

    async def _start(self, spec: QueueSpec) -> bullmq.Worker:
        worker = bullmq.Worker(
            spec.engine_name,
            self._process,
            {
                "connection": self._client,
                "prefix": self._engine.prefix,
                "concurrency": spec.concurrency or self._concurrency,
                "lockDuration": LOCK_MS,
                "stalledInterval": STALL_CHECK_MS,
                "maxStalledCount": 2,
                "drainDelay": 5,
                "autorun": False,
            },
        )
        letters = self._engine.queue(spec.dead_letters_engine_name)

        deadletter.install(worker, letters, spec.name, self._bury)
        worker.on("error", lambda error, *_: log.warning("worker.error", queue=spec.name, error=str(error)))
        # Without this probe BullMQ rounds every delay up to a whole second.
        await worker.blockingRedisConnection.getRedisVersion()
        self._tasks.append(asyncio.create_task(worker.run()))
        return worker

    async def _process(self, job: bullmq.Job, token: str) -> object:
        structlog.contextvars.clear_contextvars()
        job_id, run = split_engine_id(job.id)
        self._in_hand.add(job.id)
        try:
            outcome = await self._attempt(job, job_id, run, token)
        finally:
            self._in_hand.discard(job.id)
        if outcome.failure is None:
            return None
        if outcome.final:
            # BullMQ goes first with a death: `_bury` is called from its funnel and finds the failure here.
            self._died[job.id] = outcome
            raise UnrecoverableError(outcome.failure.message)
        await self._runner.retry_later(outcome)
        raise RuntimeError(outcome.failure.message)

    async def _attempt(self, job: bullmq.Job, job_id: UUID, run: int, token: str) -> Outcome:
        try:
            return await self._runner.attempt(job_id, run)
        except asyncio.CancelledError:
            # This process has to stop: another worker takes the job at once, with all its attempts.
            await job.moveToDelayed(round(time.time() * 1000), token)
            raise DelayedError from None
        except Exception as error:
            # The record of work could not be reached, which is not the job's fault: it keeps its attempts.
            log.warning("job.handed_back", job_id=str(job_id), error=str(error) or type(error).__name__)
            await job.moveToDelayed(round(time.time() * 1000) + HAND_BACK_MS, token)
            raise DelayedError from error

    async def _bury(self, engine_id: str, message: str) -> None:
        outcome = self._died.pop(engine_id, None)
        if outcome is not None and outcome.row is not None and outcome.failure is not None:
            await self._runner.bury(outcome.row, outcome.failure, outcome.lines)
            return
        job_id, run = split_engine_id(engine_id)
        async with self._database.transaction(SYSTEM) as session:
            row = await session.get(JobRow, job_id)
        if row is not None and row.run == run:
            await self._runner.bury(row, Failure.told("Stalled", message))

    async def _beat(self) -> None:
        jobs = len(self._in_hand)
        values = {
            "id": self._runner.worker,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": __version__,
            "queues": [spec.name for spec in self._specs],
            "jobs": jobs,
            "beat_at": func.now(),
        }
        query = insert(WorkerRow).values(values)
        changed = {"jobs": jobs, "beat_at": func.now()}
        async with self._database.transaction(SYSTEM) as session:
            await session.execute(query.on_conflict_do_update(index_elements=["id"], set_=changed))
            await session.execute(delete(WorkerRow).where(WorkerRow.beat_at < FORGET_AFTER))

    async def _say_goodbye(self) -> None:
        try:
            async with self._database.transaction(SYSTEM) as session:
                await session.execute(delete(WorkerRow).filter_by(id=self._runner.worker))
        except Exception as error:
            log.warning("worker.goodbye_failed", error=str(error))

    async def _close(self) -> None:
        closing = [asyncio.create_task(worker.close()) for worker in self._workers]
        _, late = await asyncio.wait(closing, timeout=STOP_S) if closing else (set(), set())
        if late:
            log.warning("worker.jobs_handed_back", jobs=len(self._in_hand))
            for worker in self._workers:
                worker.cancelProcessing()
            _, late = await asyncio.wait(late, timeout=HAND_BACK_S)
            for task in late:
                task.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *closing, return_exceptions=True)


def split_engine_id(text_id: str) -> tuple[UUID, int]:
    """The job and run behind BullMQ's id, `{uuid}` or `{uuid}.r{n}`.

    Raises:
        UnrecoverableError: the id is not one of ours.
    """
    head, _, run = text_id.partition(".r")
    try:
        return UUID(head), int(run or 0)
    except ValueError:
        raise UnrecoverableError(f"job {text_id!r} has no row in the record of work") from None
