"""Runs one attempt: start in the record, the processor, the end in the record. Knows nothing of Redis."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog

from app.core.database import SYSTEM, Database, is_unavailable
from app.core.errors import Invalid
from app.queues import record
from app.queues.batch import Batch
from app.queues.bounded import bounded
from app.queues.children import missing
from app.queues.failure import Failure, RecordAway, Superseded, Unrecoverable, plain, said
from app.queues.group_commit import is_away
from app.queues.job import Kinds
from app.queues.models import AnyJob, JobRow
from app.queues.spec import QueueSpec
from app.queues.work import MAX_NOTE, Work, scope_for_job

log = structlog.get_logger()
MOST_LOST = 5
"""Starts of a job that may end without an attempt because PostgreSQL went away; its own statements may be the cause."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt went. No row: there was nothing to do. No failure: the job is completed."""

    row: AnyJob | None
    failure: Failure | None = None
    lines: tuple[str, ...] = ()
    cancelled: bool = False
    """Somebody wanted the job to stop, and the record says that it did."""

    @property
    def final(self) -> bool:
        """Whether the failure is the end: trying again cannot help, or was the last attempt."""
        return self.failure is not None and self.row is not None and (self.failure.final or self.row.last_attempt)


class Runner:
    """Attempts of one worker. The same runner serves BullMQ's worker, the inline mode and the tests' drain."""

    def __init__(
        self,
        database: Database,
        kinds: Kinds,
        specs: Mapping[str, QueueSpec],
        worker: UUID,
        resources: Mapping[type, Any] | None = None,
    ) -> None:
        self._resources = resources or {}
        self._database = database
        self._kinds = kinds
        self._specs = specs
        self.worker = worker
        self._batch = Batch(database, worker)

    async def attempt(
        self, job_id: UUID, run: int, *, first: bool = False, handled: Callable[[], None] = lambda: None
    ) -> Outcome:
        """Make one attempt.

        Args:
            first: the job was never handed out before, so its start may be written while the handler runs.
            handled: called when the handler has ended and only the record is still to be told.
        """
        claim = await self._batch.open(job_id, run, first=first)
        if claim is None:
            return Outcome(None)
        row = claim.row
        structlog.contextvars.bind_contextvars(
            job_id=str(row.id),
            kind=row.kind,
            tenant_id=str(row.tenant_id),
            correlation_id=str(row.correlation_id or row.id),
            request_id=row.request_id,
            attempt=row.attempt,
        )
        work = Work(self._database, claim, self._resources)
        try:
            outcome = await self._make(work, row, handled)
            if outcome.failure is not None:
                await claim.confirm()
        except Superseded:
            log.info("job.superseded")
            return Outcome(None)
        except asyncio.CancelledError:
            with contextlib.suppress(Superseded):
                await claim.confirm()
                if await self.stopped(row, work.lines):
                    return Outcome(row, cancelled=True)
            raise
        return outcome

    async def _make(self, work: Work, row: AnyJob, handled: Callable[[], None]) -> Outcome:
        try:
            result = await self._handle(work, row)
        except Superseded:
            raise
        except Exception as error:
            if work.completed:
                # Its effects and its end are committed, whatever went wrong after that.
                log.warning("job.failed_after_its_end", error=plain(said(error)))
                return Outcome(row)
            if _not_its_own(error) and row.attempt - row.attempts_made <= MOST_LOST:
                raise  # the record went away under the handler, which is not the job's fault
            return _failed(row, error, work.lines)
        finally:
            handled()
            work.end()
        if not work.completed:
            try:
                current = await self._batch.complete(work.claim, result, work.lines)
            except Exception as error:
                if is_away(error):
                    raise
                return _failed(row, error, work.lines)
            if not current:
                # A start that PostgreSQL missed is no other attempt's doing: that error hands the job back.
                await work.claim.confirm()
                raise Superseded
        log.debug("job.completed")  # the record says so, for every job
        return Outcome(row)

    async def stopped(self, row: AnyJob, lines: Sequence[str]) -> bool:
        """The attempt was interrupted: True when somebody wanted the job cancelled; else it waits to be run again."""
        async with self._database.transaction(scope_for_job(row.tenant_id)) as session:
            if await record.cancelled(session, row, lines):
                await self._kinds.tell_dead(session, row.kind, row.payload, "the job was cancelled")
                log.info("job.cancelled")
                return True
        async with self._database.transaction(SYSTEM) as session:
            await record.hand_back(session, row, lines)
        return False

    async def _handle(self, work: Work, row: AnyJob) -> dict[str, Any] | None:
        processor = self._kinds.get(row.kind)
        if processor is None:
            raise Unrecoverable(f"this program has no processor for the kind {row.kind!r}")
        try:
            payload = self._kinds.decode(row.kind, row.payload)
        except msgspec.ValidationError as error:
            where = Invalid.misfit(error, "payload").detail
            raise Unrecoverable(f"the payload does not fit {row.kind!r}: {where}") from error
        if row.children and (why := missing(await work.children())):
            raise Unrecoverable(why)
        result = await bounded(processor.handle(work, payload), self.limit_s(row))
        if result is not None:
            # A result that is not JSON would make BullMQ run completed work again.
            json.dumps(result, allow_nan=False)
        return result

    async def row(self, job_id: UUID, run: int) -> JobRow | None:
        """What the record has of a job, if this is its present run."""
        async with self._database.transaction(SYSTEM) as session:
            row = await session.get(JobRow, job_id)
        return row if row is not None and row.run == run else None

    def limit_s(self, row: AnyJob) -> float:
        """How long an attempt at this job may take: what its kind declares, or else its queue."""
        return self._kinds.limit_s(row.kind, self._specs[row.queue])

    async def retry_later(self, outcome: Outcome) -> float:
        """Returns the seconds to wait for the next attempt."""
        row, failure = outcome.row, outcome.failure
        assert row is not None
        assert failure is not None
        wait = max(self._specs[row.queue].backoff.wait_s(row.attempts_made + 1), failure.least_wait_s)
        async with self._database.transaction(SYSTEM) as session:
            await record.retry_later(session, row, failure, outcome.lines, timedelta(seconds=wait))
        return wait

    async def bury(self, row: AnyJob, failure: Failure, lines: tuple[str, ...] = ()) -> bool:
        """Make the job dead and tell its processor, in one transaction, however the job died.

        A processor that cannot be told must not keep the job from being a letter, which then says so.
        """
        try:
            async with self._database.transaction(scope_for_job(row.tenant_id)) as session:
                if not await record.bury(session, row, failure, lines):
                    return False
                await self._kinds.tell_dead(session, row.kind, row.payload, failure.message)
        except Exception as error:
            if is_away(error):
                raise
            note = f" (and what was to follow failed: {plain(said(error))[:MAX_NOTE]})"
            failure = replace(failure, message=failure.message + note)
            async with self._database.transaction(scope_for_job(row.tenant_id)) as session:
                if not await record.bury(session, row, failure, lines):
                    return False
        log.warning("job.dead", job_id=str(row.id), queue=row.queue, kind=row.kind, error=failure.message)
        return True

    async def settle(self, outcome: Outcome) -> None:
        """After an attempt without BullMQ: wait for the next one, or die."""
        if outcome.row is None or outcome.failure is None:
            return
        if outcome.final:
            await self.bury(outcome.row, outcome.failure, outcome.lines)
        else:
            await self.retry_later(outcome)


def _not_its_own(error: Exception) -> bool:
    return isinstance(error, RecordAway) or is_unavailable(error)


def _failed(row: AnyJob, error: Exception, lines: Sequence[str]) -> Outcome:
    failure = Failure.of(error)
    log.warning("job.attempt_failed", error=failure.message, error_class=failure.error_class)
    return Outcome(row, failure, tuple(lines))
