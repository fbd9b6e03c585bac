"""Asking for work: rows in the caller's transaction, and one push to BullMQ once it has committed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import Table, bindparam, column, func, insert, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Invalid
from app.core.ids import new_id
from app.core.live import signal
from app.core.request import correlation_id
from app.queues import record
from app.queues.clock import clock
from app.queues.job import Job
from app.queues.keys import take_keys
from app.queues.models import JobRow, State
from app.queues.push import push_after_commit, queues_of
from app.queues.quota import require_room

LOWEST_PRIORITY = 2**21
LATEST = datetime.fromtimestamp(2**41 / 1000, UTC)
"""BullMQ keeps a delay as milliseconds times 4,096 in a double, which is exact for 41 bits of milliseconds."""
_COLUMNS = (
    *("id", "tenant_id", "queue", "kind", "payload", "priority", "state", "delayed", "run_at", "max_attempts", "key"),
    *("correlation_id", "request_id", "parent_id", "required", "children", "edited_from", "engine_id"),
)
_job = cast(Table, JobRow.__table__)
_given = (
    func.jsonb_to_recordset(bindparam("rows", type_=JSONB))
    .table_valued(*(column(name, _job.c[name].type) for name in _COLUMNS), name="given")
    .render_derived(with_types=True)
)
_INSERT = insert(_job).from_select(_COLUMNS, select(*(_given.c[name] for name in _COLUMNS)), include_defaults=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A job, and how it shall run.

    `run_at` or `delay`: not before that; `priority`: 1 runs first, 0 is none; `key`: while an unfinished job
    has it, that job's id is returned instead of a new one; `keep_key`: the key stays taken after the job's end.
    """

    job: Job
    run_at: datetime | None = None
    delay: timedelta | None = None
    priority: int = 0
    key: str | None = None
    keep_key: bool = False


async def enqueue(
    session: AsyncSession,
    job: Job,
    *,
    run_at: datetime | None = None,
    delay: timedelta | None = None,
    priority: int = 0,
    key: str | None = None,
    keep_key: bool = False,
) -> UUID:
    """Write the job's row into this transaction; it runs once, after the commit. See `Wanted`.

    Returns:
        the job's id.

    Raises:
        Invalid: naming `runAt`, `delay` or `priority`, which is out of BullMQ's bounds, or `payload`, which is no JSON.
        QuotaExceeded: the tenant has as many unfinished jobs as it may.
    """
    wanted = Wanted(job=job, run_at=run_at, delay=delay, priority=priority, key=key, keep_key=keep_key)
    return (await enqueue_many(session, [wanted]))[0]


async def enqueue_many(session: AsyncSession, jobs: Sequence[Job | Wanted]) -> list[UUID]:
    """Many jobs by one INSERT and one push; keys cost one more statement for all of them together.

    Returns:
        an id for each, in their order: its own, or that of the unfinished job that has its key.

    Raises:
        Invalid: as `enqueue`; then nothing is written.
    """
    asked = [job if isinstance(job, Wanted) else Wanted(job=job) for job in jobs]
    rows = [row_for(session, wanted) for wanted in asked]
    keyed = [row for row in rows if row.key is not None]
    kept = {row.id for row, wanted in zip(rows, asked, strict=True) if wanted.keep_key}
    holders = await take_keys(session, keyed, kept) if keyed else {}
    ids = [holders.get(row.id, row.id) for row in rows]
    new = [row for row, id_ in zip(rows, ids, strict=True) if row.id == id_]
    await require_room(session, len(new))
    await insert_rows(session, new)
    return ids


def row_for(session: AsyncSession, wanted: Wanted, **values: Any) -> JobRow:
    """The row of a job that waits for its turn, not yet written; `values` are further columns.

    Raises:
        Invalid: naming what is out of BullMQ's bounds or no JSON.
    """
    now = clock.moment()
    run_at = _moment(wanted, now)
    if not 0 <= wanted.priority <= LOWEST_PRIORITY:
        raise Invalid.field("priority", f"must be from 1, which runs first, to {LOWEST_PRIORITY}; 0 is none")
    spec, payload = queues_of(session).specs[wanted.job.queue], msgspec.to_builtins(wanted.job)
    try:
        json.dumps(payload, allow_nan=False)
    except ValueError as error:
        raise Invalid.field("payload", "must not hold a number that is infinite or none at all") from error
    fixed: dict[str, Any] = {
        "id": new_id(),
        "tenant_id": scope_of(session).tenant_id,
        "queue": wanted.job.queue,
        "kind": wanted.job.kind,
        "payload": payload,
        "priority": wanted.priority,
        "state": State.PENDING,
        "delayed": run_at > now,
        "run_at": run_at,
        "max_attempts": spec.attempts,
        "attempts_made": 0,
        "run": 0,
        "key": wanted.key,
        "correlation_id": correlation_id(),
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
        "required": True,
        "children": 0,
    }
    return JobRow(**fixed | values)


async def insert_rows(session: AsyncSession, rows: Sequence[JobRow]) -> None:
    """Write new rows by one statement; those that wait for nothing else are pushed after the commit."""
    if not rows:
        return
    written = [{name: getattr(row, "foreign_id" if name == "engine_id" else name) for name in _COLUMNS} for row in rows]
    await session.execute(_INSERT, {"rows": msgspec.to_builtins(written)})
    push_after_commit(session, *(row for row in rows if row.state == State.PENDING))
    for queue, tenant in {(row.queue, row.tenant_id) for row in rows}:
        signal(session, record.TOPIC, queue, tenant)


def _moment(wanted: Wanted, now: datetime) -> datetime:
    if wanted.delay is None:
        run_at, field = wanted.run_at or now, "runAt"
        if run_at.tzinfo is None:
            raise Invalid.field(field, "must have a time zone")
    elif wanted.run_at is not None:
        raise Invalid.field("delay", "cannot stand beside runAt")
    elif wanted.delay < timedelta(0):
        raise Invalid.field("delay", "must not be negative")
    else:
        # A sum beyond the year 9999 would overflow.
        run_at, field = (now + wanted.delay if wanted.delay < LATEST - now else LATEST), "delay"
    if run_at >= LATEST:
        raise Invalid.field(field, f"must be before {LATEST:%Y-%m-%d}")
    return run_at
