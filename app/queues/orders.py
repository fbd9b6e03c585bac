"""What people want of a worker process: jobs to be stopped, other limits, to be quiet, to stop.

All of it stands in the record. A signal says that there is something new; in case it got lost, the record is asked
every two seconds.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database
from app.core.ids import PLATFORM_TENANT
from app.core.live import Broker, Signal, signal
from app.queues.heartbeat import Heartbeat
from app.queues.models import Command, JobRow, QueueRow, WorkerState
from app.queues.record import CANCEL_TOPIC
from app.queues.slots import Slots
from app.queues.spec import Limits, QueueSpec

log = structlog.get_logger()
WORKER_TOPIC = "queues.worker"
"""Signals on it name a worker process that has a new command. Pages cannot follow it."""
LIMITS_TOPIC = "queues.limits"
"""Signals on it name a queue whose limits changed. Pages cannot follow it."""
OURS = b'"topic":"queues.'
LOOK_S = 2.0


def tell_worker(session: AsyncSession, worker: UUID) -> None:
    """Its row holds a new command."""
    signal(session, WORKER_TOPIC, worker, PLATFORM_TENANT)


def tell_limits(session: AsyncSession, queue: str) -> None:
    """The queue's row holds other limits."""
    signal(session, LIMITS_TOPIC, queue, PLATFORM_TENANT)


class Orders:
    """
    Args:
        stop: set when the process is to end.
    """

    def __init__(
        self,
        database: Database,
        worker: UUID,
        specs: Mapping[str, QueueSpec],
        slots: Slots,
        heartbeat: Heartbeat,
        stop: asyncio.Event,
    ) -> None:
        self._database = database
        self._worker = str(worker)
        self._specs = specs
        self._slots = slots
        self._heartbeat = heartbeat
        self._stop = stop
        self._news = asyncio.Event()

    async def run(self, broker: Broker | None) -> None:
        """For ever, until cancelled."""
        await asyncio.gather(self._keep_looking(), broker.listen(self.hear) if broker else asyncio.sleep(0))

    def hear(self, message: bytes) -> None:
        """A signal. Most are for people who look at pages."""
        if OURS not in message:
            return
        heard = msgspec.json.decode(message, type=Signal)
        if heard.topic == CANCEL_TOPIC:
            self._slots.interrupt(UUID(heard.id))
        elif heard.topic == LIMITS_TOPIC or (heard.topic == WORKER_TOPIC and heard.id == self._worker):
            self._news.set()

    async def _keep_looking(self) -> None:
        while True:
            try:
                await self.look()
            except Exception as error:
                log.warning("worker.orders_unread", error=str(error) or type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._news.wait()
            self._news.clear()

    async def look(self) -> None:
        """Read what is wanted, and do it."""
        mine = [each.job_id for _, each in self._slots.in_hand() if each.job_id is not None]
        async with self._database.transaction(SYSTEM) as session:
            rows = await session.execute(select(QueueRow.name, QueueRow.limits).where(QueueRow.limits.is_not(None)))
            changed = {row.name: msgspec.convert(row.limits, Limits) for row in rows}
            wished = (JobRow.id.in_(mine), JobRow.cancel_requested_at.is_not(None), JobRow.finished_at.is_(None))
            unwanted = (await session.scalars(select(JobRow.id).where(*wished))).all() if mine else []
        self._slots.limit({name: changed.get(name, spec.limits) for name, spec in self._specs.items()})
        for job_id in unwanted:
            self._slots.interrupt(job_id)
        await self.obey(await self._heartbeat.beat())

    async def obey(self, command: str | None) -> None:
        """Do what the row says, and say so."""
        if self._stop.is_set() or command == Command.STOP:
            self._stop.set()
            return
        wanted = WorkerState.QUIET if command == Command.QUIET else WorkerState.RUNNING
        if wanted is self._heartbeat.state:
            return
        self._heartbeat.state = wanted
        if wanted is WorkerState.QUIET:
            self._slots.quiet()
        else:
            self._slots.resume()
        log.info("worker.obeys", state=wanted)
        await self._heartbeat.beat()
