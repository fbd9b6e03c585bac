"""Keeps Redis in step with the record: the relay pushes what is pending, the reconciler finds what got lost."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Select, func, select, text, update

from app.core.database import SYSTEM, Database
from app.queues import record
from app.queues.clock import clock
from app.queues.engine import Engine
from app.queues.failure import Failure
from app.queues.models import JobRow, QueueRow, State, WorkerRow, engine_id_of, job_id_of
from app.queues.one_by_one import one_by_one
from app.queues.push import mark_queued
from app.queues.runner import Runner

log = structlog.get_logger()
BATCH = 500
SLICE = 1000
HANDED_BACK_AT_ONCE = 10_000
GRACE = timedelta(seconds=15)
NOTHING = UUID(int=0)
ENDED = ("dead", "completed", "failed")
ALIVE = text("now() - interval '30 seconds'")


class Relay:
    """Pushes pending rows. A row that a request has just pushed itself gets a moment to become `queued`."""

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine

    async def push_pending(self, tell: Callable[[int], object] = lambda _: None) -> int:
        """Push everything that is pending; returns how many. The rows stay locked until Redis has them.

        Args:
            tell: called after each batch with its size.
        """
        pushed = 0
        while True:
            async with self._database.transaction(SYSTEM) as session:
                query = select(JobRow).where(*self._pending()).order_by(JobRow.run_at).limit(BATCH)
                rows = (await session.scalars(query.with_for_update(skip_locked=True))).all()
                if not rows:
                    return pushed
                await self._engine.push(rows)
                await mark_queued(session, [(row.id, row.run) for row in rows])
            pushed += len(rows)
            tell(len(rows))

    async def waiting(self) -> int:
        """How many jobs a push would take along now."""
        async with self._database.transaction(SYSTEM) as session:
            return (await session.scalars(select(func.count()).select_from(JobRow).where(*self._pending()))).one()

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
        self._seen = 0
        self._ended: set[UUID] = set()

    async def check_epoch(self) -> None:
        """Refill a Redis that was emptied."""
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
        """In batches, so that a round that is cut off has done its part. What is pushed meanwhile stays pushed."""
        handed_back = 0
        async with self._database.transaction(SYSTEM) as session:
            began = (await session.scalars(select(func.clock_timestamp()))).one()
        there = (JobRow.state.in_((State.QUEUED, State.RETRYING)), JobRow.finished_at.is_(None))
        some = select(JobRow.id).where(*there, JobRow.updated_at < began).limit(HANDED_BACK_AT_ONCE)
        query = (
            update(JobRow)
            .where(JobRow.id.in_(some), *there)
            .values(state=State.PENDING, updated_at=JobRow.updated_at)
            .execution_options(synchronize_session=False)
        )
        while True:
            async with self._database.transaction(SYSTEM) as session:
                found: int = (await session.execute(query)).rowcount  # type: ignore[attr-defined]
            handed_back += found
            if found < HANDED_BACK_AT_ONCE:
                return handed_back

    async def mirror_pauses(self) -> None:
        """Redis may have been away when somebody paused or resumed a queue; the row is what counts."""
        async with self._database.transaction(SYSTEM) as session:
            query = select(QueueRow.name).where(QueueRow.paused_at.is_not(None))
            wanted = set((await session.scalars(query)).all())
        for name, paused in (await self._engine.paused()).items():
            if paused != (name in wanted):
                await self._engine.pause(name, name in wanted)

    async def sweep(self) -> int:
        """Look at the next slice of unfinished rows that nothing has moved for ten seconds; returns its size."""
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
        """No handler runs longer than its queue's time limit, so this one ended and its end got lost."""
        limit = timedelta(seconds=self._engine.specs[row.queue].timeout_s) + GRACE
        return row.started_at is not None and row.started_at < _now() - limit

    def _slice(self) -> Select[tuple[JobRow]]:
        states = (State.QUEUED, State.ACTIVE, State.RETRYING)
        return (
            select(JobRow)
            .where(JobRow.state.in_(states), JobRow.id > self._after, JobRow.queue.in_(self._engine.specs))
            .where(JobRow.updated_at < text("now() - interval '10 seconds'"))
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
        elif place == "delayed" and row.run_at < _now() - GRACE:
            # Somebody wanted it at once, and Redis was not told.
            await self._engine.promote(row)
        elif place in ("dead", "failed"):
            reason = await self._engine.reason(row, place) or "it failed"
            if place == "failed":
                await self._engine.bury_failed(row, reason)
            await self._runner.bury(row, Failure.told("Failed", reason))

    async def tidy(self) -> int:
        """Take out of Redis what was ended, removed or replayed while Redis was away; returns how many.

        Looks at the next slice of every queue's lists. An id without a row stays: a worker finds nothing to do for it.
        """
        gone, more = 0, False
        for name in self._engine.specs:
            held = await self._engine.waiting(name, self._seen, SLICE)
            more = more or len(held) >= SLICE
            for engine_id in await self._over(held):
                await self._engine.forget(name, engine_id)
                gone += 1
        self._seen = self._seen + SLICE if more else 0
        if gone:
            log.info("redis.tidied", jobs=gone)
        return gone

    async def _over(self, held: Sequence[str]) -> list[str]:
        """Those whose run is over without being a dead letter. Redis was read first, so no row is older than its id."""
        by_job: dict[UUID, list[str]] = {}
        for engine_id in held:
            if (job_id := job_id_of(engine_id)) is not None:
                by_job.setdefault(job_id, []).append(engine_id)
        if not by_job:
            return []
        query = select(JobRow.id, JobRow.run, JobRow.state).where(JobRow.id.in_(by_job))
        async with self._database.transaction(SYSTEM) as session:
            rows = (await session.execute(query)).all()
        ended = (State.COMPLETED, State.CANCELLED, State.REMOVED)
        return [
            one for row in rows for one in by_job[row.id] if one != engine_id_of(row.id, row.run) or row.state in ended
        ]


def _now() -> datetime:
    return datetime.fromtimestamp(clock.now(), UTC)
