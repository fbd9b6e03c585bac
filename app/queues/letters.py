"""Dead letters, many at once or mended: replayed, removed, grouped by their cause, or edited into a new job."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, String, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Conflict, FieldError, Invalid
from app.core.ids import new_id
from app.core.logging import is_hidden, redact
from app.queues import record
from app.queues.clock import clock
from app.queues.control import follow_new_runs, remove_all, take_key_again
from app.queues.enqueue import insert_rows
from app.queues.keys import give_up_keys, take_keys
from app.queues.models import JobRow, State
from app.queues.push import queues_of

AT_ONCE = 1000
LOOKED_AT = 100_000
GROUPS = 100


@dataclass(frozen=True, slots=True)
class Which:
    """Which dead letters of a queue: all conditions that are given hold; none given means all."""

    ids: Collection[UUID] | None = None
    kind: str | None = None
    fingerprint: str | None = None
    tenant_id: UUID | None = None

    def of(self, queue: str) -> list[ColumnElement[bool]]:
        conditions = [JobRow.queue == queue, JobRow.state == State.DEAD]
        if self.ids is not None:
            conditions.append(JobRow.id.in_(self.ids))
        if self.kind is not None:
            conditions.append(JobRow.kind == self.kind)
        if self.fingerprint is not None:
            conditions.append(JobRow.error_fingerprint == self.fingerprint)
        if self.tenant_id is not None:
            conditions.append(JobRow.tenant_id == self.tenant_id)
        return conditions


@dataclass(frozen=True, slots=True)
class Done:
    """What was done at once: these rows; `skipped` have a key that another unfinished job has; `left` fit and wait."""

    rows: Sequence[JobRow]
    skipped: int
    left: int


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters with one cause."""

    fingerprint: str | None
    error_class: str | None
    error_message: str | None
    count: int
    first_failed_at: datetime
    last_failed_at: datetime
    kinds: Sequence[str]


async def replay_all(session: AsyncSession, queue: str, which: Which) -> Done:
    """A new run of each that fits, oldest first, AT_ONCE at most; who asks twice at the same time replays once."""
    picked = await _pick(session, queue, which)
    holders = await take_keys(session, [row for row in picked if row.key is not None])
    free = [row.id for row in picked if holders.get(row.id, row.id) == row.id]
    rows = await record.run_again(session, free)
    await follow_new_runs(session, rows)
    return Done(rows, len(picked) - len(free), await _left(session, queue, which))


async def remove_letters(session: AsyncSession, queue: str, which: Which) -> Done:
    """Each that fits goes into the trash, oldest first, AT_ONCE at most."""
    rows = await remove_all(session, [row.id for row in await _pick(session, queue, which)], [State.DEAD])
    return Done(rows, 0, await _left(session, queue, which))


async def restore_letters(session: AsyncSession, queue: str, removed_at: datetime) -> Done:
    """Out of the trash what one removal took, all of which has its moment.

    Raises:
        Conflict (`not_in_trash`): none of them is there any more.
    """
    fits = (JobRow.queue == queue, JobRow.removed_at == removed_at, JobRow.removed_from == State.DEAD)
    query = select(JobRow.id).where(*fits).order_by(JobRow.id).with_for_update()
    rows = await record.restore(session, (await session.scalars(query)).all())
    if not rows:
        raise Conflict("No dead letter of this removal is in the trash, or no longer", code="not_in_trash")
    return Done(rows, 0, 0)


async def edit(session: AsyncSession, row: JobRow, payload: dict[str, Any]) -> UUID:
    """A new job of the letter's kind with another payload, in the letter's place; the letter is removed for good.

    A value that people were shown as hidden, and that comes back hidden, stays what it was.

    Returns:
        the new job's id; its `edited_from` is the letter.

    Raises:
        Invalid: naming the field of the payload that does not fit the kind, or that came back hidden where nothing was
            hidden, or something else was. Conflict: this is no dead letter
            any more (`not_dead`), nobody runs its kind any more (`unknown_kind`), or its key is taken (`key_taken`).
    """
    mended = _with_hidden(payload, row.payload, redact(row.payload), "payload")
    kinds = queues_of(session).kinds
    if kinds.get(row.kind) is None:
        raise Conflict(f"This program has no processor for the kind {row.kind!r}", code="unknown_kind")
    try:
        kept = msgspec.to_builtins(kinds.decode(row.kind, mended))
    except msgspec.ValidationError as error:
        raise _named(error) from None
    # The new job takes its place in the flow, so that its parent waits for that one, or runs with its result.
    place = {name: getattr(row, name) for name in ("parent_id", "required")}
    await record.leave_flow(session, row.id)
    if not await record.close(session, [row.id], State.REMOVED, [State.DEAD]):
        raise Conflict("This is no dead letter any more", code="not_dead")
    copied = ("tenant_id", "queue", "kind", "priority", "max_attempts", "key", "correlation_id", "request_id")
    values = place | {name: getattr(row, name) for name in copied}
    new = JobRow(
        **values,
        id=new_id(),
        payload=kept,
        state=State.PENDING,
        delayed=False,
        run_at=clock.moment(),
        attempts_made=0,
        run=0,
        children=0,
        edited_from=row.id,
    )
    await take_key_again(session, new, keep=await give_up_keys(session, row.id))
    await queues_of(session).kinds.tell_replayed(session, new.kind, new.payload)
    await insert_rows(session, [new])
    return new.id


async def groups(session: AsyncSession, queue: str) -> list[Group]:
    """The causes of a queue's dead letters, the most frequent first, of the newest LOOKED_AT letters."""
    columns = (JobRow.id, JobRow.kind, JobRow.error_class, JobRow.error_message, JobRow.error_fingerprint)
    newest = (
        select(*columns, JobRow.finished_at)
        .where(*Which().of(queue))
        .order_by(JobRow.id.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    by_age = newest.c.id.desc()
    query = (
        select(
            newest.c.error_fingerprint,
            func.array_agg(aggregate_order_by(newest.c.error_class, by_age))[1],
            func.array_agg(aggregate_order_by(newest.c.error_message, by_age))[1],
            func.count().label("letters"),
            func.min(newest.c.finished_at),
            func.max(newest.c.finished_at),
            cast(func.array_agg(newest.c.kind.distinct()), ARRAY(String)),
        )
        .group_by(newest.c.error_fingerprint)
        .order_by(func.count().desc(), newest.c.error_fingerprint)
        .limit(GROUPS)
    )
    return [Group(*row) for row in await session.execute(query)]


async def _pick(session: AsyncSession, queue: str, which: Which) -> Sequence[JobRow]:
    """Locked in one order, so that of two who ask at once the second waits, and then finds them dead no more."""
    query = select(JobRow).where(*which.of(queue)).order_by(JobRow.id).limit(AT_ONCE)
    return (await session.scalars(query.with_for_update())).all()


async def _left(session: AsyncSession, queue: str, which: Which) -> int:
    found = select(JobRow.id).where(*which.of(queue)).limit(LOOKED_AT).subquery()
    return (await session.scalars(select(func.count()).select_from(found))).one()


def _with_hidden(new: Any, old: Any, shown: Any, place: str) -> Any:
    """`new`, where each value that is still as `shown` is as in `old`.

    Raises:
        Invalid: something in it is hidden, and nothing says what it was.
    """
    if new == shown:
        return old
    if isinstance(new, dict):
        was, seen = (old, shown) if isinstance(shown, dict) else ({}, {})
        return {
            name: _with_hidden(value, was.get(name), seen.get(name), f"{place}.{name}") for name, value in new.items()
        }
    if isinstance(new, list):
        pairs = list(zip(old, shown, strict=True)) if isinstance(shown, list) else []
        return [
            _with_hidden(value, *pair, f"{place}[{n}]")
            for n, (value, pair) in enumerate(zip(new, _before(new, pairs), strict=True))
        ]
    if isinstance(new, str) and is_hidden(new):
        raise Invalid.field(place, "is hidden, and it cannot be told what it was: write the value itself")
    return new


def _before(new: list[Any], pairs: list[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """What each item of a list was, and how that was shown: the only one that looked like it, else the one in its
    place, where no item came or went."""
    alike: dict[bytes, list[tuple[Any, Any]]] = {}
    for pair in pairs:
        alike.setdefault(_form(pair[1]), []).append(pair)
    for n, value in enumerate(new):
        found = alike.get(_form(value), [])
        there = pairs[n] if len(new) == len(pairs) else (None, None)
        yield found[0] if len(found) == 1 else there


def _form(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _named(error: msgspec.ValidationError) -> Invalid:
    found = FieldError.of_misfit(error, "")
    return Invalid.field(f"payload.{found.field}" if found.field else "payload", found.message)
