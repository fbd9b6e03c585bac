"""Takes out of Redis what has nothing to do there any more: jobs that ended meanwhile, and letters that are old."""

from collections.abc import Sequence
from uuid import UUID

import structlog
from sqlalchemy import select

from app.core.database import SYSTEM, Database
from app.queues.clock import clock
from app.queues.engine import Engine
from app.queues.models import UNFINISHED, JobRow, State, engine_id_of, job_id_of

log = structlog.get_logger()
SLICE = 1000
ENDED = (State.COMPLETED, State.CANCELLED, State.REMOVED)


class Tidier:
    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine
        self._seen = 0

    async def tidy(self) -> int:
        """A round over all queues; returns how many jobs and letters it took out."""
        await self._engine.answer()
        gone = await self._forget_ended()
        for name, spec in self._engine.specs.items():
            gone += await self._forget_old(name, spec.letters_kept_for.total_seconds())
        if gone:
            log.info("redis.tidied", jobs=gone)
        return gone

    async def _forget_ended(self) -> int:
        """What was ended, removed or replayed while Redis was away, in the next slice of every queue's lists.

        An id without a row stays: a worker finds nothing to do for it.
        """
        gone, more = 0, False
        for name in self._engine.specs:
            held = await self._engine.waiting(name, self._seen, SLICE)
            more = more or len(held) >= SLICE
            for engine_id in await self._over(held):
                await self._engine.forget(name, engine_id)
                gone += 1
        self._seen = self._seen + SLICE if more else 0
        return gone

    async def _forget_old(self, name: str, kept_s: float) -> int:
        """Some letters, and some of what other programs' workers have failed. Their rows stay, as what people see.

        One whose row is unfinished waits for the reconciler.
        """
        old = await self._engine.aged(name, clock.now() - kept_s)
        leaving = set(await self._settled([engine_id for _, engine_id in old])) if old else set()
        for place, engine_id in old:
            if engine_id in leaving:
                await self._engine.take_out(place, engine_id)
        return len(leaving)

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
        return [
            one for row in rows for one in by_job[row.id] if one != engine_id_of(row.id, row.run) or row.state in ENDED
        ]

    async def _settled(self, ids: Sequence[str]) -> list[str]:
        """Those that no unfinished row is about."""
        by_id = {one: job_id_of(one) for one in ids}
        query = select(JobRow.id).where(JobRow.id.in_(filter(None, by_id.values())), JobRow.state.in_(UNFINISHED))
        async with self._database.transaction(SYSTEM) as session:
            unfinished = set((await session.scalars(query)).all())
        return [one for one, job_id in by_id.items() if job_id not in unfinished]
