"""Queries on schedules and the jobs they made."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, text, true
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app.modules.schedules.schemas import Run
from app.queues.models import JobRow, KeyRow, ScheduleRow
from app.queues.schedules import moment_of

LIGHT = (defer(JobRow.payload, raiseload=True), defer(JobRow.result, raiseload=True))


async def rows(session: AsyncSession) -> list[ScheduleRow]:
    return list(await session.scalars(select(ScheduleRow).order_by(ScheduleRow.name)))


async def runs(session: AsyncSession, names: Sequence[str], limit: int) -> dict[str, list[Run]]:
    """The last so many runs of each schedule, newest first, found by the jobs' keys, in one statement."""
    found: dict[str, list[Run]] = {name: [] for name in names}
    if not names:
        return found
    name = select(func.unnest(array(list(names))).label("name")).subquery()
    first, end = (func.concat("schedule:", name.c.name, mark) for mark in (":", ";"))
    # The operators compare by bytes, as the index does; the key of a schedule called `a` must not find those of `ab`.
    newest = (
        select(KeyRow.key, KeyRow.job_id)
        .where(KeyRow.kept, KeyRow.key.op("~>=~")(first), KeyRow.key.op("~<~")(end))
        .order_by(text("job_key.key USING ~>~"))
        .limit(limit)
        .lateral()
    )
    query = select(name.c.name, newest.c.key, JobRow).select_from(name).join(newest, true())
    for owner, key, job in await session.execute(query.join(JobRow, JobRow.id == newest.c.job_id).options(*LIGHT)):
        found[owner].append(Run(*moment_of(key), job))
    for each in found.values():
        each.sort(key=lambda run: run.due_at, reverse=True)
    return found


async def job(session: AsyncSession, job_id: UUID) -> JobRow | None:
    return await session.get(JobRow, job_id, options=LIGHT, populate_existing=True)
