"""The worker process: slots that hand jobs to the runner, and the loops of the one that leads."""

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog
from redis.asyncio import Redis

from app.core.database import SYSTEM, Database
from app.core.live import Broker
from app.queues.adopt import adopt, is_ours
from app.queues.clock import MEASURE_EVERY_S, clock
from app.queues.consumer import Cancelled, Dead, Delivery, Done, HandBack, Refused, Retry, Verdict, check_layouts
from app.queues.ended import gather_ended
from app.queues.engine import Engine
from app.queues.failure import Failure
from app.queues.group_commit import is_away
from app.queues.heartbeat import Heartbeat
from app.queues.isolated import Template
from app.queues.leader import Leader
from app.queues.loops import Loop, Loops
from app.queues.models import UNFINISHED, WorkerState
from app.queues.orders import Orders
from app.queues.quarantine import Quarantine
from app.queues.relay import Reconciler, Relay
from app.queues.runner import Runner
from app.queues.slots import Slots
from app.queues.spec import QueueSpec
from app.queues.tidy import Tidier
from app.queues.watchdog import Watchdog

log = structlog.get_logger()
STOP_S = 20.0
STOPPED_S = 3.0
HAND_BACK_S = 2.0


class WorkerProcess:
    """Serves some queues until it is told to stop.

    Args:
        client: waits for Redis for ever.
        led: loops for while this process leads; `own` run always.
        broker: carries signals of what people want; without one the record is asked every two seconds.
        template: processes for suspects are forked from it; without one they run here, as all jobs do.
        hang_s: seconds after which a process that hangs ends itself; 0: never.
        stopping: called when the process begins to stop.
    """

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
        broker: Broker | None = None,
        template: Template | None = None,
        hang_s: float = 0,
        stopping: Callable[[], object] = lambda: None,
    ) -> None:
        check_layouts()
        self._database = database
        self._runner = runner
        self._client = client
        self._broker = broker
        self._stopping = stopping
        self._stop = asyncio.Event()
        consumers = engine.consumers(client, specs)
        places = {consumer: consumer.spec.concurrency or concurrency for consumer in consumers}
        self.slots = Slots(places, self._handle, client, engine.wake_key(runner.worker), str(runner.worker))
        # What the loops ask of Redis may be large, and nobody waits for it.
        patient = engine.over(client)
        relay, reconciler = Relay(database, patient), Reconciler(database, patient, runner)
        led = [
            Loop("epoch", 2.0, reconciler.check_epoch),
            Loop("pauses", 5.0, reconciler.mirror_pauses),
            Loop("relay", 0.5, relay.push_pending),
            Loop("reconcile", 5.0, reconciler.sweep),
            Loop("tidy", 30.0, Tidier(database, patient).tidy),
            Loop("ended", 60.0, lambda: gather_ended(database)),
            Loop("workers", 60.0, lambda: self._heartbeat.forget_gone()),
            *led,
        ]
        clocks = Loop("queue-clock", MEASURE_EVERY_S, lambda: clock.measure(client))
        self._loops = Loops(Leader(database, runner.worker), led, own=[clocks, *own])
        self._quarantine = Quarantine(template, runner) if template else None
        self._watchdog = Watchdog(hang_s, self.slots.idle_s)
        names = [spec.name for spec in specs]
        self._heartbeat = Heartbeat(
            database, runner.worker, names, self.slots, self._watchdog.lag_ms, lambda: self._loops.leads
        )
        wanted = {spec.name: spec for spec in specs}
        self._orders = Orders(database, runner.worker, wanted, self.slots, self._heartbeat, self._stop)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then let running jobs end, for at most 20 seconds.

        Raises:
            Exception: what ended the slots or the loops, which should never end.
        """
        # The limits are known, and the record knows of this process, before the first job starts.
        await self._orders.look()
        log.info("worker.started", worker=str(self._runner.worker), queues=list(self.slots.names))
        running: list[asyncio.Task[object]] = [
            asyncio.create_task(self._serve()),
            asyncio.create_task(self._loops.run()),
            asyncio.create_task(self._orders.run(self._broker)),
            asyncio.create_task(self._watchdog.run()),
        ]
        if self._quarantine is not None:
            running.append(asyncio.create_task(self._quarantine.watch()))
        told: list[asyncio.Task[object]] = [asyncio.create_task(each.wait()) for each in (stop, self._stop)]
        # None ends by itself: a worker that lives on without one of them would only look healthy.
        done, _ = await asyncio.wait([*told, *running], return_when=asyncio.FIRST_COMPLETED)
        log.info("worker.stopping", jobs=self.slots.jobs)
        self._stopping()
        self._heartbeat.state = WorkerState.STOPPING
        self._stop.set()
        await self.slots.close(STOP_S, STOPPED_S)
        if self._quarantine is not None:
            self._quarantine.close()
        for task in (*running, *told):
            task.cancel()
        await asyncio.gather(*running, *told, return_exceptions=True)
        await self._heartbeat.goodbye()
        for task in done:
            task.result()

    async def _serve(self) -> None:
        # The first question for jobs says what time it is.
        await clock.measure(self._client)
        await self.slots.run()

    async def _handle(self, delivery: Delivery, leave: Callable[[], None]) -> Verdict:
        """One delivery: an attempt in the record, or what to do without one."""
        structlog.contextvars.clear_contextvars()
        if not delivery.known:
            log.warning("job.refused", engine_id=delivery.engine_id, error="Redis has lost what the job is")
            return Refused()
        try:
            if is_ours(delivery.engine_id, delivery.fields.get("opts", "")):
                job_id, run = split_engine_id(delivery.engine_id)
            else:
                job_id, run = await self._adopt(delivery), 0
            delivery.job_id = job_id
            if delivery.doomed is not None:
                return Dead(delivery.doomed, lambda: self._bury_stalled(job_id, run, str(delivery.doomed)))
            return await self._attempt(delivery, job_id, run, leave)
        except Unreadable as error:
            return self._refuse(delivery, str(error))
        except Exception as error:
            # The record of work could not be reached, which is not the job's fault: it keeps its attempts.
            log.warning("job.handed_back", engine_id=delivery.engine_id, error=str(error) or type(error).__name__)
            return HandBack(HAND_BACK_S)

    async def _attempt(self, delivery: Delivery, job_id: UUID, run: int, leave: Callable[[], None]) -> Verdict:
        if delivery.suspect and self._quarantine is not None:
            leave()
            outcome = await self._quarantine.attempt(job_id, run)
        else:
            outcome = await self._runner.attempt(job_id, run, first=delivery.first, handled=leave)
        if outcome.cancelled:
            return Cancelled()
        row, failure = outcome.row, outcome.failure
        if row is None and (found := await self._runner.row(job_id, run)) and found.state in UNFINISHED:
            # Another attempt is the current one, maybe of a worker that stood still until its lock was ours: it can
            # tell BullMQ nothing any more. Told that the job is completed, BullMQ would have the last word on it.
            return HandBack(HAND_BACK_S)
        if row is None or failure is None:
            return Done()
        if outcome.final:
            # BullMQ goes first with a death, so that the job is never in its queue and among the dead letters.
            return Dead(failure.message, lambda: self._runner.bury(row, failure, outcome.lines))
        wait_s = await self._runner.retry_later(outcome)
        return Retry(wait_s, failure.message, failure.stack)

    async def _adopt(self, delivery: Delivery) -> UUID:
        """The row of a job that another program put into Redis. That is its first run: later ones are ours.

        Raises:
            Unreadable: the record cannot hold it.
        """
        try:
            async with self._database.transaction(SYSTEM) as session:
                return (await adopt(session, delivery.queue, delivery.engine_id, delivery.fields)).id
        except Exception as error:
            if is_away(error):
                raise
            raise Unreadable(f"the record of work cannot hold the job {delivery.engine_id!r}") from error

    @staticmethod
    def _refuse(delivery: Delivery, message: str) -> Verdict:
        """It can only be a letter in Redis, where whoever added it finds it."""

        async def told() -> None:
            log.warning("job.not_adopted", engine_id=delivery.engine_id, queue=delivery.queue)

        return Dead(message, told)

    async def _bury_stalled(self, job_id: UUID, run: int, message: str) -> None:
        if row := await self._runner.row(job_id, run):
            await self._runner.bury(row, Failure.told("Stalled", message))


class Unreadable(Exception):
    """Another program's job that has no row and can get none."""


def split_engine_id(text_id: str) -> tuple[UUID, int]:
    """The job and run behind BullMQ's id, `{uuid}` or `{uuid}.r{n}`.

    Raises:
        ValueError: the id is not one of ours.
    """
    head, _, run = text_id.partition(".r")
    return UUID(head), int(run or 0)
