"""Keys of jobs: while an unfinished job of a tenant and queue has a key, no second one gets it."""

from collections.abc import Collection, Sequence
from typing import cast
from uuid import UUID

from sqlalchemy import Table, bindparam, column, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.queues.models import JobRow, KeyRow

_key = cast(Table, KeyRow.__table__)
_NAMES = ("tenant_id", "queue", "key", "job_id", "kept")
_given = (
    func.jsonb_to_recordset(bindparam("rows", type_=JSONB))
    .table_valued(*(column(name, _key.c[name].type) for name in _NAMES), name="given")
    .render_derived(with_types=True)
)
_TAKE = (
    insert(_key)
    .from_select(_NAMES, select(*(_given.c[name] for name in _NAMES)), include_defaults=False)
    .on_conflict_do_nothing()
    .returning(_key.c.job_id)
)


async def take_keys(session: AsyncSession, rows: Sequence[JobRow], keep: Collection[UUID] = ()) -> dict[UUID, UUID]:
    """Who has the key of each of these rows now: the row itself, or a job that came first.

    Args:
        rows: each with a key; several may want the same one, which goes to the first.
        keep: ids of the rows whose key stays taken after their end.

    Returns:
        the holder's id by the row's id.
    """
    holders: dict[UUID, UUID] = {}
    # In one order for everybody, so that two batches cannot wait for each other.
    missing = sorted(rows, key=lambda row: (row.tenant_id, row.queue, row.key or ""))
    while missing:
        wanted = [
            {"tenant_id": str(r.tenant_id), "queue": r.queue, "key": r.key, "job_id": str(r.id), "kept": r.id in keep}
            for r in missing
        ]
        taken = set((await session.scalars(_TAKE, {"rows": wanted})).all())
        holders |= {job_id: job_id for job_id in taken}
        missing = [row for row in missing if row.id not in taken]
        if not missing:
            break
        place = tuple_(KeyRow.tenant_id, KeyRow.queue, KeyRow.key)
        query = select(KeyRow.tenant_id, KeyRow.queue, KeyRow.key, KeyRow.job_id)
        asked = query.where(place.in_([(row.tenant_id, row.queue, row.key) for row in missing]))
        found = {(tenant, queue, key): holder for tenant, queue, key, holder in await session.execute(asked)}
        here = {row.id: found.get((row.tenant_id, row.queue, row.key)) for row in missing}
        holders |= {job_id: holder for job_id, holder in here.items() if holder is not None}
        # A holder that ended between the two statements has left its key free.
        missing = [row for row in missing if here[row.id] is None]
    return holders


async def holder_of(session: AsyncSession, tenant_id: UUID, queue: str, key: str) -> UUID | None:
    """The job that has a key now."""
    found: UUID | None = await session.scalar(
        select(KeyRow.job_id).filter_by(tenant_id=tenant_id, queue=queue, key=key)
    )
    return found


async def give_up_keys(session: AsyncSession, job_id: UUID) -> bool:
    """The keys that an ended job still has, because they outlive the end; whether there were any."""
    query = delete(KeyRow).where(KeyRow.job_id == job_id, KeyRow.kept).returning(KeyRow.job_id)
    return bool((await session.scalars(query)).all())


async def free_keys(session: AsyncSession, ended: Collection[UUID]) -> None:
    """The keys of jobs that have ended, but for those that outlive the end."""
    await session.execute(delete(KeyRow).where(KeyRow.job_id.in_(ended), KeyRow.kept.is_(False)))
