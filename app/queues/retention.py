"""Months of jobs go when their time is over; what is unfinished or dead stays, and says so."""

from collections.abc import Collection
from datetime import UTC, date, datetime
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, and_, delete, func, or_, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from app.core.database import SYSTEM, Database
from app.core.ids import floor_id
from app.core.months import months_over
from app.queues.models import UNFINISHED, AttemptRow, EffectRow, JobRow, KeyRow, State

log = structlog.get_logger()
AT_ONCE = 5_000
TRIES = 3
KEPT = (*UNFINISHED, State.DEAD)
OVER = (State.COMPLETED, State.CANCELLED, State.REMOVED)
_DROP = text("SELECT teknav_drop_month(:month)")
_LOCKED = "55P03"


class Held(Exception):
    """Months that are over and cannot go; the message says which, and because of what."""


class Retention:
    """Drops whole months, and thins out those that something keeps.

    Args:
        months: as in JOB_RETENTION_MONTHS.
        beside: tables of modules whose months go with those of the jobs.
    """

    def __init__(self, database: Database, months: int, beside: Collection[str] = ()) -> None:
        self._database = database
        self._months = months
        self._beside = beside

    async def run(self) -> None:
        """
        Raises:
            Held: some months have to stay.
        """
        held = []
        async with self._database.transaction(SYSTEM) as session:
            over = await months_over(session, "job", *self._beside, kept=self._months)
        for month in over:
            if await self._drop(month):
                log.info("month.dropped", month=f"{month:%Y-%m}")
                continue
            gone = await self._thin(month)
            unfinished, dead = await self._kept(month)
            log.info("month.thinned", month=f"{month:%Y-%m}", jobs=gone)
            held.append(f"{month:%Y-%m} ({unfinished} unfinished, {dead} dead)")
        if held:
            raise Held(f"Months of jobs that cannot go: {', '.join(held)}. Replay or remove their dead letters.")

    async def _drop(self, month: date) -> bool:
        """False when something in it is unfinished, dead or in the trash, or a flow still needs its results."""
        for left in reversed(range(TRIES)):
            try:
                async with self._database.transaction(SYSTEM) as session:
                    if await self._needed(session, month) or not await session.scalar(_DROP, {"month": month}):
                        return False
                    # The keys that had outlived their jobs.
                    await session.execute(delete(KeyRow).where(_within(KeyRow.job_id, month)))
                    return True
            except DBAPIError as error:
                # Somebody reads the tables for long. Others must not queue behind this, so it does not wait.
                if getattr(error.orig, "sqlstate", None) != _LOCKED or not left:
                    raise
        raise AssertionError("the last try returns or raises")

    async def _needed(self, session: AsyncSession, month: date) -> bool:
        """Whether a parent in another month waits for a job of this one, or is a dead letter that may run again."""
        parent = aliased(JobRow)
        query = select(JobRow.id).join(parent, parent.id == JobRow.parent_id)
        query = query.where(_within(JobRow.id, month), JobRow.parent_id.is_not(None), parent.state.in_(KEPT))
        return (await session.scalars(query.limit(1))).first() is not None

    async def _thin(self, month: date) -> int:
        """Delete what has ended in a month that has to stay, with attempts, effects and keys; returns how many."""
        gone, parent = 0, aliased(JobRow)
        query = select(JobRow.id).outerjoin(parent, parent.id == JobRow.parent_id)
        query = query.where(_within(JobRow.id, month), JobRow.state.in_(OVER), JobRow.removed_at.is_(None))
        query = query.where(or_(parent.id.is_(None), parent.state.not_in(KEPT))).order_by(JobRow.id).limit(AT_ONCE)
        while True:
            async with self._database.transaction(SYSTEM) as session:
                ended = (await session.scalars(query)).all()
                for column in (AttemptRow.job_id, EffectRow.job_id, KeyRow.job_id, JobRow.id) if ended else ():
                    await session.execute(delete(column.class_).where(_within(column, month), column.in_(ended)))
            gone += len(ended)
            if len(ended) < AT_ONCE:
                return gone

    async def _kept(self, month: date) -> tuple[int, int]:
        """How many jobs of it are unfinished, and how many dead."""
        dead = func.count().filter(JobRow.state == State.DEAD)
        query = select(func.count() - dead, dead).where(_within(JobRow.id, month), JobRow.state.in_(KEPT))
        async with self._database.transaction(SYSTEM) as session:
            unfinished, letters = (await session.execute(query)).one()
        return unfinished, letters


def _within(column: InstrumentedAttribute[UUID], month: date) -> ColumnElement[bool]:
    first = datetime(month.year, month.month, 1, tzinfo=UTC)
    end = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
    return and_(column >= floor_id(first), column < floor_id(end))
