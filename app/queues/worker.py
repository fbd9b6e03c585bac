"""The worker process: BullMQ's workers around our runner, and the loops of the one that leads."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
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
from app.queues.models import JobRow, WorkerRow
from app.queues.relay import Reconciler, Relay
from app.queues.runner import Outcome, Runner
from app.queues.spec import QueueSpec

log = structlog.get_logger()
LOCK_MS = 10_000
STALL_CHECK_MS = 5_000
STOP_S = 20
HAND_BACK_MS = 2_000
BEAT_S = 5
FORGET_AFTER = text("now() - interval '1 day'")

Loop = tuple[str, float, Callable[[], Awaitable[object]]]


class WorkerProcess:
    """Serves some queues until it is told to stop. `extra_loops` run only while this process leads."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        runner: Runner,
        specs: Sequence[QueueSpec],
        *,
        concurrency: int,
        client: Redis,
        extra_loops: Sequence[Loop] = (),
    ) -> None:
        self._database = database
        self._engine = engine
        self._runner = runner
        self._specs = specs
        self._concurrency = concurrency
        self._client = client
        self._leader = Leader(database, runner.worker)
        self._leads = False
        self._workers: list[bullmq.Worker] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._in_hand: dict[str, Outcome] = {}
        relay, reconciler = Relay(database, engine), Reconciler(database, engine, runner)
        self._loops: list[Loop] = [
            ("relay", 0.5, relay.push_pending),
            ("epoch", 2.0, reconciler.check_epoch),
            ("pauses", 5.0, reconciler.mirror_pauses),
            ("reconcile", 5.0, reconciler.sweep),
            *extra_loops,
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then let running jobs end, for at most 20 seconds."""
        await self._beat(0)
        for spec in self._specs:
            self._workers.append(await self._start(spec))
        log.info("worker.started", queues=[spec.name for spec in self._specs], worker=str(self._runner.worker))
        tasks = [asyncio.create_task(self._every("beat", BEAT_S, self._heartbeat, leading=False))]
        tasks += [asyncio.create_task(self._every("lease", 5.0, self._take_lead, leading=False))]
        tasks += [asyncio.create_task(self._every(*loop, leading=True)) for loop in self._loops]
        await stop.wait()
        log.info("worker.stopping", jobs=len(self._in_hand))
        await self._close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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
        self._in_hand[job.id] = Outcome(None)
        try:
            outcome = await self._attempt(job, job_id, run, token)
            if outcome.failure is None:
                return None
            assert outcome.row is not None
            final = outcome.failure.final or job.attemptsMade + 1 >= job.opts.get("attempts", 1)
            if final:
                # BullMQ goes first with a death: `_bury` is called from its funnel and finds the failure here.
                self._in_hand[job.id] = outcome
                raise UnrecoverableError(outcome.failure.message)
            await self._runner.retry_later(outcome)
            raise RuntimeError(outcome.failure.message)
        finally:
            if self._in_hand.get(job.id, Outcome(None)).failure is None:
                self._in_hand.pop(job.id, None)

    async def _attempt(self, job: bullmq.Job, job_id: UUID, run: int, token: str) -> Outcome:
        try:
            return await self._runner.attempt(job_id, run)
        except Exception as error:
            # The record of work could not be reached, which is not the job's fault: it keeps its attempts.
            log.warning("job.handed_back", job_id=str(job_id), error=str(error) or type(error).__name__)
            await job.moveToDelayed(round(time.time() * 1000) + HAND_BACK_MS, token)
            raise DelayedError from error

    async def _bury(self, engine_id: str, message: str) -> None:
        outcome = self._in_hand.pop(engine_id, None)
        if outcome is not None and outcome.row is not None and outcome.failure is not None:
            await self._runner.bury(outcome.row, outcome.failure, outcome.lines)
            return
        job_id, run = split_engine_id(engine_id)
        async with self._database.transaction(SYSTEM) as session:
            row = await session.get(JobRow, job_id)
        if row is not None and row.run == run:
            await self._runner.bury(row, Failure.told("Stalled", message))

    async def _every(
        self, name: str, seconds: float, action: Callable[[], Awaitable[object]], *, leading: bool
    ) -> None:
        while True:
            if self._leads or not leading:
                try:
                    await action()
                except Exception as error:
                    log.warning("loop.failed", loop=name, error=str(error) or type(error).__name__)
            await asyncio.sleep(seconds)

    async def _take_lead(self) -> None:
        leads = await self._leader.lead()
        if leads and not self._leads:
            log.info("loop.leading", worker=str(self._runner.worker))
        self._leads = leads

    async def _heartbeat(self) -> None:
        await self._beat(len(self._in_hand))

    async def _beat(self, jobs: int) -> None:
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
            await self._leader.resign()
            async with self._database.transaction(SYSTEM) as session:
                await session.execute(delete(WorkerRow).filter_by(id=self._runner.worker))
        except Exception as error:
            log.warning("worker.goodbye_failed", error=str(error))

    async def _close(self) -> None:
        closing = [asyncio.create_task(worker.close()) for worker in self._workers]
        _, late = await asyncio.wait(closing, timeout=STOP_S) if closing else (set(), set())
        if late:
            # Their locks run out, and another worker takes these jobs.
            log.warning("worker.jobs_left_to_others", jobs=len(self._in_hand))
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
