"""The worker process: slots that hand jobs to the runner, and the loops of the one that leads."""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog
from redis.asyncio import Redis
from sqlalchemy import delete, func, text
from sqlalchemy.dialects.postgresql import insert

from app import __version__
from app.core.database import SYSTEM, Database
from app.queues.consumer import Dead, Delivery, Done, HandBack, Refused, Retry, Verdict, check_layouts
from app.queues.engine import Engine
from app.queues.failure import Failure
from app.queues.leader import Leader
from app.queues.loops import Loop, Loops
from app.queues.models import JobRow, WorkerRow
from app.queues.relay import Reconciler, Relay
from app.queues.runner import Runner
from app.queues.slots import Slots
from app.queues.spec import QueueSpec

log = structlog.get_logger()
STOP_S = 20.0
STOPPED_S = 3.0
HAND_BACK_S = 2.0
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
        check_layouts()
        self._database = database
        self._runner = runner
        self._specs = specs
        consumers = engine.consumers(client, specs)
        places = {consumer: consumer.spec.concurrency or concurrency for consumer in consumers}
        self.slots = Slots(places, self._handle, client, engine.wake_key(runner.worker), str(runner.worker))
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
        """Work until `stop` is set, then let running jobs end, for at most 20 seconds.

        Raises:
            Exception: what ended the slots or the loops, which should never end.
        """
        await self._beat()
        log.info("worker.started", queues=[spec.name for spec in self._specs], worker=str(self._runner.worker))
        running: list[asyncio.Task[object]] = [
            asyncio.create_task(self.slots.run()),
            asyncio.create_task(self._loops.run()),
        ]
        told: asyncio.Task[object] = asyncio.create_task(stop.wait())
        # Neither ends by itself: a worker that lives on without one of them would only look healthy.
        done, _ = await asyncio.wait([told, *running], return_when=asyncio.FIRST_COMPLETED)
        log.info("worker.stopping", jobs=self.slots.jobs)
        await self.slots.close(STOP_S, STOPPED_S)
        for task in running:
            task.cancel()
        told.cancel()
        await asyncio.gather(*running, told, return_exceptions=True)
        await self._say_goodbye()
        for task in done:
            task.result()

    async def _handle(self, delivery: Delivery, leave: Callable[[], None]) -> Verdict:
        """One delivery: an attempt in the record, or what to do without one."""
        structlog.contextvars.clear_contextvars()
        if not delivery.known:
            log.warning("job.refused", engine_id=delivery.engine_id, error="Redis has lost what the job is")
            return Refused()
        try:
            job_id, run = split_engine_id(delivery.engine_id)
        except ValueError:
            return self._adopt(delivery)
        if delivery.doomed is not None:
            return Dead(delivery.doomed, lambda: self._bury_stalled(job_id, run, str(delivery.doomed)))
        try:
            return await self._attempt(job_id, run)
        except Exception as error:
            # The record of work could not be reached, which is not the job's fault: it keeps its attempts.
            log.warning("job.handed_back", job_id=str(job_id), error=str(error) or type(error).__name__)
            return HandBack(HAND_BACK_S)

    async def _attempt(self, job_id: UUID, run: int) -> Verdict:
        outcome = await self._runner.attempt(job_id, run)
        failure = outcome.failure
        if failure is None or outcome.row is None:
            return Done()
        if outcome.final:
            # BullMQ goes first with a death, so that the job is never in its queue and among the dead letters.
            row = outcome.row
            return Dead(failure.message, lambda: self._runner.bury(row, failure, outcome.lines))
        wait_s = await self._runner.retry_later(outcome)
        return Retry(wait_s, failure.message, failure.stack)

    def _adopt(self, delivery: Delivery) -> Verdict:
        """A job that another program put into Redis. It has no row, and nothing here gives it one yet."""
        message = f"job {delivery.engine_id!r} has no row in the record of work"

        async def told() -> None:
            log.warning("job.not_ours", engine_id=delivery.engine_id)

        return Dead(message, told)

    async def _bury_stalled(self, job_id: UUID, run: int, message: str) -> None:
        async with self._database.transaction(SYSTEM) as session:
            row = await session.get(JobRow, job_id)
        if row is not None and row.run == run:
            await self._runner.bury(row, Failure.told("Stalled", message))

    async def _beat(self) -> None:
        jobs = self.slots.jobs
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


def split_engine_id(text_id: str) -> tuple[UUID, int]:
    """The job and run behind BullMQ's id, `{uuid}` or `{uuid}.r{n}`.

    Raises:
        ValueError: the id is not one of ours.
    """
    head, _, run = text_id.partition(".r")
    return UUID(head), int(run or 0)
