"""The record of many attempts at once: those that start and end together are written together."""

import asyncio
import json
import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database
from app.core.live import signal
from app.queues import batch_sql as sql
from app.queues.failure import Superseded
from app.queues.group_commit import GroupCommit
from app.queues.models import JobRow, State
from app.queues.record import TOPIC, Ended, after_end


@dataclass(slots=True, eq=False)
class Claim:
    """One attempt that this process makes. Of a first delivery the start may be written while the handler runs."""

    row: JobRow
    began: float = field(default_factory=time.perf_counter)
    start: "asyncio.Future[bool] | None" = None
    """The answer to a start that is written behind the handler's back."""

    @property
    def refused(self) -> bool:
        """Whether that start was not written. Another attempt may have this one's number."""
        start = self.start
        return start is not None and start.done() and (start.exception() is not None or not start.result())

    async def confirm(self) -> None:
        """Wait until the record says that the job is active and this its current attempt.

        Raises:
            Superseded: it says something else.
        """
        if self.start is not None and not await asyncio.shield(self.start):
            raise Superseded


@dataclass(frozen=True, slots=True)
class _Wanted:
    job_id: UUID
    run: int
    first: bool


@dataclass(frozen=True, slots=True)
class _Start:
    claim: Claim


@dataclass(frozen=True, slots=True)
class _End:
    claim: Claim
    took_ms: int
    result: str | None
    log: str


class Batch:
    """Starts and completions of one worker, in group commits."""

    def __init__(self, database: Database, worker: UUID) -> None:
        self._database = database
        self._worker = worker
        self._opening: GroupCommit[_Wanted, Claim | None] = GroupCommit(self._open, lambda item: (item.job_id, item))
        self._writing: GroupCommit[_Start | _End, bool] = GroupCommit(self._write, _about)

    async def open(self, job_id: UUID, run: int, *, first: bool) -> Claim | None:
        """Begin an attempt; None when this run is finished or unknown, so there is nothing to do.

        With `first`, which says that the job was never handed out before, the row is read and found untouched, and
        its start is written while the handler runs, together with the end of a short one. Otherwise the row is
        active when this returns.
        """
        claim = await self._opening.put(_Wanted(job_id, run, first))
        if claim is not None and claim.row.state != State.ACTIVE:
            claim.row.state, claim.row.attempt, claim.row.worker = State.ACTIVE, 1, self._worker
            claim.start = self._writing.put(_Start(claim))
        return claim

    async def complete(self, claim: Claim, result: dict[str, Any] | None, log: Sequence[str]) -> bool:
        """False when the attempt is no longer the current one."""
        took_ms = round((time.perf_counter() - claim.began) * 1000)
        told = None if result is None else json.dumps(result)
        return await self._writing.put(_End(claim, took_ms, told, json.dumps(list(log))))

    async def _open(self, wanted: Sequence[_Wanted]) -> list[Claim | None]:
        untouched: dict[tuple[UUID, int], JobRow] = {}
        async with self._database.transaction(SYSTEM) as session:
            if ids := sorted(each.job_id for each in wanted if each.first):
                query = select(JobRow).from_statement(sql.READ_UNTOUCHED)
                rows = await session.scalars(query, {"ids": ids, "low": ids[0], "high": ids[-1]})
                untouched = {(row.id, row.run): row for row in rows}
            others = [each for each in wanted if (each.job_id, each.run) not in untouched]
            started = await self._start(session, others) if others else []
        found = {(row.id, row.run): row for row in started} | untouched
        return [Claim(row) if (row := found.get((each.job_id, each.run))) else None for each in wanted]

    async def _start(self, session: AsyncSession, wanted: Iterable[_Wanted]) -> Sequence[JobRow]:
        pairs = sorted((each.job_id, each.run) for each in wanted)
        values = _given([job_id for job_id, _ in pairs]) | {"runs": [run for _, run in pairs], "worker": self._worker}
        query = select(JobRow).from_statement(sql.START)
        rows = (await session.scalars(query, values, execution_options={"populate_existing": True})).all()
        if rows:
            attempts = {
                "runs": [row.run for row in rows],
                "attempts": [row.attempt for row in rows],
                "tenants": [row.tenant_id for row in rows],
            }
            ids = [row.id for row in rows]
            await session.execute(
                sql.OPEN_ATTEMPTS, attempts | {"ids": ids, "low": min(ids), "high": max(ids), "worker": self._worker}
            )
            _signal(session, rows)
        return rows

    async def _write(self, items: Sequence[_Start | _End]) -> list[bool]:
        """Who starts and ends in one group is written once."""
        ends = {item.claim: item for item in items if isinstance(item, _End)}
        starts = [item.claim for item in items if isinstance(item, _Start) and item.claim not in ends]
        at_once = {item.claim for item in items if isinstance(item, _Start)} & ends.keys()
        later = [claim for claim in ends if claim not in at_once and not claim.refused]
        async with self._database.transaction(SYSTEM) as session:
            begun = await self._told(session, sql.START_FIRST, starts, {})
            ended = await self._told(session, sql.COMPLETE_FIRST, list(at_once), ends)
            ended |= await self._told(session, sql.COMPLETE, later, ends)
            if ended:
                await after_end(session, [Ended.of(claim.row) for claim in ends if claim.row.id in ended])
            _signal(session, [claim.row for claim in starts if claim.row.id in begun])
        return [item.claim.row.id in begun or item.claim.row.id in ended for item in items]

    async def _told(
        self, session: AsyncSession, statement: Any, claims: list[Claim], ends: dict[Claim, _End]
    ) -> set[UUID]:
        """The ids of the jobs that the statement found as the claims know them."""
        if not claims:
            return set()
        now = time.perf_counter()
        claims.sort(key=lambda claim: claim.row.id)  # everybody locks in the same order
        values = _given([claim.row.id for claim in claims]) | {
            "runs": [claim.row.run for claim in claims],
            "attempts": [claim.row.attempt for claim in claims],
            "since_s": [now - claim.began for claim in claims],
            "worker": self._worker,
        }
        if ends:
            values["took_ms"] = [ends[claim].took_ms for claim in claims]
            values["results"] = [ends[claim].result for claim in claims]
            values["logs"] = [ends[claim].log for claim in claims]
        return set((await session.scalars(statement, values)).all())


def _about(item: _Start | _End) -> tuple[Hashable, object]:
    return item.claim.row.id, item.claim


def _given(ids: list[UUID]) -> dict[str, Any]:
    """`ids` in order."""
    return {"ids": ids, "low": ids[0], "high": ids[-1]}


def _signal(session: AsyncSession, rows: Iterable[JobRow]) -> None:
    for row in rows:
        signal(session, TOPIC, row.queue, row.tenant_id)
