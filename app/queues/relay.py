"""Keeps Redis in step with the record: the relay pushes what is pending, the reconciler finds what got lost."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Select, Text, and_, cast, func, or_, select, text, tuple_, update

from app.core.database import SYSTEM, Database
from app.queues import record
from app.queues.clock import clock
from app.queues.engine import Engine
from app.queues.failure import Failure, plain, said
from app.queues.models import JobRow, QueueRow, State, WorkerRow
from app.queues.one_by_one import is_elsewhere, one_by_one
from app.queues.push import MOST_BYTES, MOST_JOBS, mark_queued
from app.queues.runner import Runner

log = structlog.get_logger()
PUSH_S = 10.0
SLICE = 1000
GRACE = timedelta(seconds=15)
NOTHING = UUID(int=0)
ENDED = ("dead", "completed", "failed")
ALIVE = text("now() - interval '30 seconds'")


class Place(NamedTuple):
    """A pending row, and where it stands in the order in which rows are pushed."""

    id: UUID
    queue: str
    run_at: datetime


class Relay:
    """Pushes pending rows. A row that a request has just pushed itself gets a moment to become `queued`."""

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine

    async def push_pending(self, tell: Callable[[int], object] = lambda _: None) -> int:
        """Push everything that is pending; returns how many. Each slice is marked before the next one leaves.

        The jobs of a slice that cannot be pushed are tried one by one, after all others: there may be thousands of
        them, such as all of a queue, and those behind them are not to wait for each.

        Args:
            tell: called after each slice with its size.

        Raises:
            RuntimeError: some jobs could not be pushed. RedisError, OSError or TimeoutError: Redis is away.
        """
        # Nobody who changes a row waits for a Redis that is not there.
        await self._engine.answer()
        pushed, after, stuck = 0, None, []
        while some := await self._next(after):
            after = some[-1]
            try:
                count = await self._push([row.id for row in some])
            except Exception as error:
                if is_elsewhere(error):
                    raise
                log.warning("relay.slice_failed", jobs=len(some), error=plain(said(error)))
                stuck += some
                continue
            pushed += count
            tell(count)
        await one_by_one(stuck, lambda row: self._push([row.id]))
        return pushed + len(stuck)

    async def waiting(self) -> int:
        """How many jobs a push would take along now."""
        async with self._database.transaction(SYSTEM) as session:
            return (await session.scalars(select(func.count()).select_from(JobRow).where(*self._pending()))).one()

    async def _next(self, after: Place | None) -> list[Place]:
        """The places of the next slice, by the time they are due."""
        size = func.octet_length(cast(JobRow.payload, Text))
        query = select(JobRow.id, JobRow.queue, JobRow.run_at, size).where(*self._pending())
        if after is not None:
            query = query.where(tuple_(JobRow.run_at, JobRow.id) > (after.run_at, after.id))
        async with self._database.transaction(SYSTEM) as session:
            rows = await session.execute(query.order_by(JobRow.run_at, JobRow.id).limit(MOST_JOBS))
        held = 0
        some: list[Place] = []
        for row in rows:
            held += row[3]
            if some and held > MOST_BYTES:
                break
            some.append(Place(*row[:3]))
        return some

    async def _push(self, ids: Sequence[UUID]) -> int:
        """The rows stay locked until Redis has them; those that others have locked are left to them."""
        async with self._database.transaction(SYSTEM) as session:
            query = select(JobRow).where(JobRow.id.in_(ids), *self._pending()).order_by(JobRow.run_at, JobRow.id)
            rows = (await session.scalars(query.with_for_update(skip_locked=True))).all()
            if rows:
                async with asyncio.timeout(PUSH_S):
                    await self._engine.push(rows)
                await mark_queued(session, [(row.id, row.run) for row in rows])
            return len(rows)

    def _pending(self) -> tuple[ColumnElement[bool], ...]:
        return (
            JobRow.state == State.PENDING,
            JobRow.finished_at.is_(None),
            JobRow.queue.in_(self._engine.specs),
            JobRow.updated_at < text("now() - interval '1 second'"),
        )


class Reconciler:
    """Compares unfinished rows with what Redis has of them."""

    def __init__(self, database: Database, engine: Engine, runner: Runner) -> None:
        self._database = database
        self._engine = engine
        self._runner = runner
        self._after = NOTHING
        self._ended: set[UUID] = set()

    async def check_epoch(self) -> None:
        """Refill a Redis that was emptied."""
        await self._engine.answer()
        if not await self._engine.epoch():
            await self.refill()

    async def refill(self) -> int:
        """Mirror the pauses first, then hand every job that Redis should hold back to the relay; returns how many."""
        await self.mirror_pauses()
        refilled = await self._hand_back()
        await self._engine.begin_epoch()
        # An empty Redis with nothing to put into it is a first start, and no accident.
        (log.warning if refilled else log.info)("redis.refilled_from_record", jobs=refilled)
        return refilled

    async def _hand_back(self) -> int:
        """In slices, so that a round that is cut off has done its part. What is pushed meanwhile stays pushed.

        What a living worker has in hand is left to it, and what somebody changes right now to them, and to the sweep
        if that is lost: so nobody waits for anybody.
        """
        handed_back, after = 0, NOTHING
        async with self._database.transaction(SYSTEM) as session:
            began = (await session.scalars(select(func.clock_timestamp()))).one()
        alive = select(WorkerRow.id).where(WorkerRow.beat_at > ALIVE)
        left = and_(JobRow.state == State.ACTIVE, or_(JobRow.worker.is_(None), JobRow.worker.not_in(alive)))
        there = (or_(JobRow.state.in_((State.QUEUED, State.RETRYING)), left), JobRow.finished_at.is_(None))
        lost = select(JobRow.id).where(*there, JobRow.updated_at < began).order_by(JobRow.id).limit(SLICE)
        values = {"state": State.PENDING, "worker": None, "updated_at": JobRow.updated_at}
        while True:
            async with self._database.transaction(SYSTEM) as session:
                some = (await session.scalars(lost.where(JobRow.id > after).with_for_update(skip_locked=True))).all()
                query = update(JobRow).where(JobRow.id.in_(some)).values(values)
                await session.execute(query.execution_options(synchronize_session=False))
            handed_back += len(some)
            if len(some) < SLICE:
                return handed_back
            after = some[-1]

    async def mirror_pauses(self) -> None:
        """Redis may have been away when somebody paused or resumed a queue; the row is what counts."""
        await self._engine.answer()
        async with self._database.transaction(SYSTEM) as session:
            query = select(QueueRow.name).where(QueueRow.paused_at.is_not(None))
            wanted = set((await session.scalars(query)).all())
        for name, paused in (await self._engine.paused()).items():
            if paused != (name in wanted):
                await self._engine.pause(name, name in wanted)

    async def sweep(self) -> int:
        """Look at the next slice of unfinished rows that nothing has moved for ten seconds; returns its size."""
        await self._engine.answer()
        async with self._database.transaction(SYSTEM) as session:
            alive = set((await session.scalars(select(WorkerRow.id).where(WorkerRow.beat_at > ALIVE))).all())
            rows = (await session.scalars(self._slice())).all()
        self._after = rows[-1].id if len(rows) == SLICE else NOTHING
        places = await self._engine.places(rows) if rows else []
        # Redis says that it is over, and its worker has had a whole round to say so too: the worker could not.
        ended = {row.id for row, place in zip(rows, places, strict=True) if place in ENDED}
        over, self._ended = ended & self._ended, ended
        found = {}
        for row, place in zip(rows, places, strict=True):
            in_hand = row.state == State.ACTIVE and row.worker in alive
            if in_hand and (place in ("here", "delayed") or not self._overdue(row)) and row.id not in over:
                continue
            found[row] = place
        await one_by_one(found, lambda row: self._settle(row, found[row]))
        return len(rows)

    def _overdue(self, row: JobRow) -> bool:
        """No handler runs longer than its time limit, so this one ended and its end got lost."""
        limit = timedelta(seconds=self._runner.limit_s(row)) + GRACE
        return row.started_at is not None and row.started_at < clock.moment() - limit

    def _slice(self) -> Select[tuple[JobRow]]:
        states = (State.QUEUED, State.ACTIVE, State.RETRYING)
        return (
            select(JobRow)
            .where(JobRow.state.in_(states), JobRow.finished_at.is_(None), JobRow.id > self._after)
            .where(JobRow.queue.in_(self._engine.specs), JobRow.updated_at < text("now() - interval '10 seconds'"))
            .order_by(JobRow.id)
            .limit(SLICE)
        )

    async def _settle(self, row: JobRow, place: str) -> None:
        if place == "unknown":
            async with self._database.transaction(SYSTEM) as session:
                if await record.push_again(session, row.id, row.run, row.updated_at):
                    log.info("job.pushed_again", job_id=str(row.id))
        elif place == "completed":
            # Another program's worker finished it.
            async with self._database.transaction(SYSTEM) as session:
                await record.complete_elsewhere(session, row)
        elif place == "delayed" and row.run_at < clock.moment() - GRACE:
            # Somebody wanted it at once, and Redis was not told.
            await self._engine.promote(row)
        elif place in ("dead", "failed"):
            reason = await self._engine.reason(row, place) or "it failed"
            if place == "failed":
                await self._engine.bury_failed(row, reason)
            await self._runner.bury(row, Failure.told("Failed", reason))
