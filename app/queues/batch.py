"""The record of many attempts at once: those that start and end together are written together."""

import asyncio
import json
import time
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from app.core.database import SYSTEM, Database
from app.core.direct import Direct
from app.queues import batch_sql as sql
from app.queues.failure import Superseded
from app.queues.group_commit import GroupCommit
from app.queues.models import JobInHand
from app.queues.record import Ended, after_completion, signal_all

NO_LINES = "[]"


@dataclass(slots=True, eq=False)
class Claim:
    """One attempt that this process makes. Of a first delivery the start may be written while the handler runs."""

    row: JobInHand
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
        if claim is not None and claim.row.attempt == 0:
            self.begin(claim)
        return claim

    def begin(self, claim: Claim) -> None:
        """Take an untouched job. Whether it was still untouched is told by `Claim.confirm`."""
        claim.row.attempt = 1
        claim.start = cast("asyncio.Future[bool]", self._commits.put(_Start(claim)))

    async def complete(self, claim: Claim, result: dict[str, Any] | None, log: Sequence[str]) -> bool:
        """False when the attempt is no longer the current one."""
        took_ms = round((time.perf_counter() - claim.began) * 1000)
        told = None if result is None else json.dumps(result, allow_nan=False)
        return bool(await self._commits.put(_End(claim, took_ms, told, json.dumps(list(log)) if log else NO_LINES)))

    async def _write(self, items: Sequence[_Open | _Start | _End]) -> list[Claim | bool | None]:
        """Everything in one transaction; who starts and ends in one group is written once."""
        wanted = [item for item in items if isinstance(item, _Open)]
        begun = {item.claim for item in items if isinstance(item, _Start)}
        ends = {item.claim: item for item in items if isinstance(item, _End)}
        parents = any(claim.row.parent_id is not None for claim in ends)
        async with self._database.connection(SYSTEM, session=parents) as direct:
            started = await self._start_first(direct, begun - ends.keys())
            ended = await self._complete_first(direct, begun & ends.keys(), ends)
            ended |= await self._complete(direct, {c for c in ends.keys() - begun if not c.refused}, ends)
            await after_completion(direct, [Ended.of(claim.row) for claim in ends if claim.job_id in ended])
            signal_all(direct, [claim.row for claim in begun if claim.job_id in started])
            opened = await self._open(direct, wanted) if wanted else {}
        return [
            opened.get((item.job_id, item.run))
            if isinstance(item, _Open)
            else item.claim.job_id in started or item.claim.job_id in ended
            for item in items
        ]

    async def _open(self, direct: Direct, wanted: Sequence[_Open]) -> dict[tuple[UUID, int], Claim]:
        rows: list[JobInHand] = []
        if ids := sorted(each.job_id for each in wanted if each.first):
            rows += _rows(await direct.connection.fetch(sql.READ_UNTOUCHED, *_span(ids)))
        untouched = {(row.id, row.run) for row in rows}
        others = [each for each in wanted if (each.job_id, each.run) not in untouched]
        if others:
            rows += await self._start(direct, others)
        return {(row.id, row.run): Claim(row, row.id) for row in rows}

    async def _start(self, direct: Direct, wanted: Iterable[_Open]) -> Sequence[JobInHand]:
        pairs = sorted((each.job_id, each.run) for each in wanted)
        span, runs = _span([job_id for job_id, _ in pairs]), [run for _, run in pairs]
        rows = _rows(await direct.connection.fetch(sql.START, *span, runs, self._worker))
        if rows:
            begun = (*_span(sorted(row.id for row in rows)), [row.run for row in rows], self._worker)
            attempts, tenants = [row.attempt for row in rows], [row.tenant_id for row in rows]
            await direct.connection.execute(sql.OPEN_ATTEMPTS, *begun, attempts, tenants)
            signal_all(direct, rows)
        return rows

    async def _start_first(self, direct: Direct, about: Set[Claim]) -> set[UUID]:
        claims = _in_order(about)
        since_s = _since_s(claims)
        return await _told(direct, sql.START_FIRST, claims, self._worker, since_s)

    async def _complete_first(self, direct: Direct, about: Set[Claim], ends: Mapping[Claim, _End]) -> set[UUID]:
        claims = _in_order(about)
        return await _told(direct, sql.COMPLETE_FIRST, claims, self._worker, _since_s(claims), *_said(claims, ends))

    async def _complete(self, direct: Direct, about: Set[Claim], ends: Mapping[Claim, _End]) -> set[UUID]:
        claims = _in_order(about)
        attempts = [claim.row.attempt for claim in claims]
        return await _told(direct, sql.COMPLETE, claims, attempts, *_said(claims, ends))


async def _told(direct: Direct, statement: str, claims: Sequence[Claim], *values: object) -> set[UUID]:
    """The ids of the jobs that the statement found as the claims know them."""
    if not claims:
        return set()
    span, runs = _span([claim.job_id for claim in claims]), [claim.row.run for claim in claims]
    return {each[0] for each in await direct.connection.fetch(statement, *span, runs, *values)}


def _in_order(about: Set[Claim]) -> list[Claim]:
    """Everybody locks in the same order."""
    return sorted(about, key=lambda claim: claim.job_id)


def _since_s(claims: Sequence[Claim]) -> list[float]:
    now = time.perf_counter()
    return [now - claim.began for claim in claims]


def _said(claims: Sequence[Claim], ends: Mapping[Claim, _End]) -> tuple[list[int], list[str | None], list[str]]:
    """Milliseconds, results and lines of the ends."""
    said = [ends[claim] for claim in claims]
    return [end.took_ms for end in said], [end.result for end in said], [end.log for end in said]


def _span(ids: Sequence[UUID]) -> tuple[Sequence[UUID], UUID, UUID]:
    """Sorted ids, the smallest and the largest."""
    return ids, ids[0], ids[-1]


def _rows(found: Iterable[Iterable[Any]]) -> list[JobInHand]:
    return [JobInHand(*row) for row in found]


def _about(item: _Open | _Start | _End) -> tuple[Hashable, object]:
    return (item.job_id, item) if isinstance(item, _Open) else (item.claim.job_id, item.claim)
