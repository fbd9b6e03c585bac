"""How the loops of the leading process fare: what each did last, written every few seconds and read by people."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database
from app.queues.leader import LEASE
from app.queues.models import LeaseRow, LoopRow, WorkerRow

PERIODS_LATE = 3
GRACE_S = 10.0


@dataclass(slots=True)
class LastRound:
    """The last round of one loop, by this process's monotonic clock."""

    every_s: float
    ended: float = 0.0
    took_s: float = 0.0
    cut_off: int = 0
    error: str | None = None
    error_at: float | None = None

    def end(self, started: float, error: str | None) -> None:
        self.ended = time.monotonic()
        self.took_s = self.ended - started
        if error is not None:
            self.error, self.error_at = error, self.ended


@dataclass(frozen=True, slots=True)
class LoopLag:
    """One loop as people see it. `age_s` is how long ago its last round ended, by PostgreSQL's clock."""

    name: str
    every_s: float
    ran_at: datetime
    age_s: float
    took_ms: float
    cut_off: int
    error: str | None
    error_at: datetime | None

    @property
    def late(self) -> bool:
        """Whether it should have run again long since; the grace covers writing, and a change of the lead."""
        return self.age_s > PERIODS_LATE * self.every_s + GRACE_S

    @property
    def failing(self) -> bool:
        """Whether its last round went wrong."""
        return self.error_at is not None and self.error_at >= self.ran_at


@dataclass(frozen=True, slots=True)
class Lags:
    """`leader` is the worker that leads, None while nobody does; `place` says where it runs, if that is known."""

    leader: UUID | None
    place: str | None
    loops: Sequence[LoopLag]

    @property
    def late(self) -> list[str]:
        return [loop.name for loop in self.loops if loop.late]

    @property
    def trouble(self) -> str:
        """What people should know, in one sentence; empty where all is well."""
        if self.leader is None:
            return "No worker leads: nothing is pushed again, compared or scheduled"
        told = [f"Late: {', '.join(self.late)}"] if self.late else []
        return ". ".join([*told, *(f"{loop.name.capitalize()}: {loop.error}" for loop in self.loops if loop.failing)])


async def write(database: Database, holder: UUID, rounds: Mapping[str, LastRound]) -> None:
    """Replace what the table tells by the rounds of the process that leads."""
    if not rounds:
        return
    now = time.monotonic()
    values = [
        {
            "name": name,
            "holder": holder,
            "every_s": last.every_s,
            # Ages are sent, not times, so that a wrong clock here shows nowhere.
            "ran_at": func.now() - timedelta(seconds=now - last.ended),
            "took_ms": last.took_s * 1000,
            "cut_off": last.cut_off,
            "error": last.error,
            "error_at": None if last.error_at is None else func.now() - timedelta(seconds=now - last.error_at),
        }
        for name, last in rounds.items()
    ]
    query = insert(LoopRow).values(values)
    changed = {column.name: column for column in query.excluded if column.name != "name"}
    async with database.transaction(SYSTEM) as session:
        await session.execute(query.on_conflict_do_update(index_elements=["name"], set_=changed))
        await session.execute(delete(LoopRow).where(LoopRow.name.not_in(rounds)))


async def read(session: AsyncSession) -> Lags:
    """Two statements: who leads, and the last round of each loop."""
    lease = (
        select(LeaseRow.holder, WorkerRow.host, WorkerRow.pid)
        .outerjoin(WorkerRow, WorkerRow.id == LeaseRow.holder)
        .where(LeaseRow.name == LEASE, LeaseRow.expires_at > func.clock_timestamp())
    )
    leader = (await session.execute(lease)).one_or_none()
    age = func.extract("epoch", func.clock_timestamp() - LoopRow.ran_at)
    rows = await session.execute(select(LoopRow, age).order_by(LoopRow.every_s, LoopRow.name))
    loops = [
        LoopLag(
            row.name,
            row.every_s,
            row.ran_at,
            max(0.0, float(age_s)),
            row.took_ms,
            row.cut_off,
            row.error,
            row.error_at,
        )
        for row, age_s in rows
    ]
    place = f"{leader.host}, process {leader.pid}" if leader and leader.host else None
    return Lags(leader.holder if leader else None, place, loops)
