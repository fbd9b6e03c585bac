"""The record of many attempts at once: those that start and end together are written together."""

import asyncio
import json
import time
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from sqlalchemy import TextClause, select
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
    job_id: UUID
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
class _Open:
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
        self._commits: GroupCommit[_Open | _Start | _End, Claim | bool | None] = GroupCommit(self._write, _about)

    async def open(self, job_id: UUID, run: int, *, first: bool) -> Claim | None:
        """Begin an attempt; None when this run is finished or unknown, so there is nothing to do.

        With `first`, which says that the job was never handed out before, the row is read and found untouched, and
        its start is written while the handler runs, together with the end of a short one. Otherwise the row is
        active when this returns.
        """
        claim = cast("Claim | None", await self._commits.put(_Open(job_id, run, first)))
        if claim is not None and claim.row.state != State.ACTIVE:
            self.begin(claim)
        return claim

    def begin(self, claim: Claim) -> None:
        """Take an untouched job. Whether it was still untouched is told by `Claim.confirm`."""
        claim.row.state, claim.row.attempt, claim.row.worker = State.ACTIVE, 1, self._worker
        claim.start = cast("asyncio.Future[bool]", self._commits.put(_Start(claim)))

    async def complete(self, claim: Claim, result: dict[str, Any] | None, log: Sequence[str]) -> bool:
        """False when the attempt is no longer the current one."""
        took_ms = round((time.perf_counter() - claim.began) * 1000)
        told = None if result is None else json.dumps(result)
        return bool(await self._commits.put(_End(claim, took_ms, told, json.dumps(list(log)))))

    async def _write(self, items: Sequence[_Open | _Start | _End]) -> list[Claim | bool | None]:
        """Everything in one transaction; who starts and ends in one group is written once."""
        wanted = [item for item in items if isinstance(item, _Open)]
        begun = {item.claim for item in items if isinstance(item, _Start)}
        ends = {item.claim: item for item in items if isinstance(item, _End)}
        async with self._database.transaction(SYSTEM) as session:
            started = await self._told(session, sql.START_FIRST, begun - ends.keys(), {})
            ended = await self._told(session, sql.COMPLETE_FIRST, begun & ends.keys(), ends)
            ended |= await self._told(session, sql.COMPLETE, {c for c in ends.keys() - begun if not c.refused}, ends)
            if ended:
                await after_end(session, [Ended.of(claim.row) for claim in ends if claim.job_id in ended])
            _signal(session, [claim.row for claim in begun if claim.job_id in started])
            opened = await self._open(session, wanted) if wanted else {}
        return [
            opened.get((item.job_id, item.run))
            if isinstance(item, _Open)
            else item.claim.job_id in started or item.claim.job_id in ended
            for item in items
        ]

    async def _open(self, session: AsyncSession, wanted: Sequence[_Open]) -> dict[tuple[UUID, int], Claim]:
        rows: list[JobRow] = []
        if ids := sorted(each.job_id for each in wanted if each.first):
            found = await session.scalars(select(JobRow).from_statement(sql.READ_UNTOUCHED), _given(ids))
            rows += found.all()
        untouched = {(row.id, row.run) for row in rows}
        others = [each for each in wanted if (each.job_id, each.run) not in untouched]
        if others:
            rows += await self._start(session, others)
        return {(row.id, row.run): Claim(row, row.id) for row in rows}

    async def _start(self, session: AsyncSession, wanted: Iterable[_Open]) -> Sequence[JobRow]:
        pairs = sorted((each.job_id, each.run) for each in wanted)
        values = _given([job_id for job_id, _ in pairs]) | {"runs": [run for _, run in pairs], "worker": self._worker}
        query = select(JobRow).from_statement(sql.START)
        rows = (await session.scalars(query, values, execution_options={"populate_existing": True})).all()
        if rows:
            attempts = {
                "runs": [row.run for row in rows],
                "attempts": [row.attempt for row in rows],
                "tenants": [row.tenant_id for row in rows],
                "worker": self._worker,
            }
            await session.execute(sql.OPEN_ATTEMPTS, _given([row.id for row in rows]) | attempts)
            _signal(session, rows)
        return rows

    async def _told(
        self, session: AsyncSession, statement: TextClause, about: Set[Claim], ends: Mapping[Claim, _End]
    ) -> set[UUID]:
        """The ids of the jobs that the statement found as the claims know them."""
        if not about:
            return set()
        now = time.perf_counter()
        claims = sorted(about, key=lambda claim: claim.job_id)  # everybody locks in the same order
        values = _given([claim.job_id for claim in claims]) | {
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


def _about(item: _Open | _Start | _End) -> tuple[Hashable, object]:
    return (item.job_id, item) if isinstance(item, _Open) else (item.claim.job_id, item.claim)


def _given(ids: Sequence[UUID]) -> dict[str, Any]:
    return {"ids": ids, "low": min(ids), "high": max(ids)}


def _signal(session: AsyncSession, rows: Iterable[JobRow]) -> None:
    for row in rows:
        signal(session, TOPIC, row.queue, row.tenant_id)
