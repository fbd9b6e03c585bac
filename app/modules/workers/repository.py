"""Queries on worker processes."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.signs import Sign, Weight, counted
from app.modules.workers.schemas import Doing, doing
from app.queues.models import WorkerRow


async def workers(session: AsyncSession) -> Sequence[WorkerRow]:
    return (await session.scalars(select(WorkerRow).order_by(WorkerRow.host, WorkerRow.started_at))).all()


async def signs(session: AsyncSession) -> list[Sign]:
    """Whether anybody works."""
    found = [doing(row) for row in await workers(session)]
    running, lost = found.count(Doing.RUNNING), found.count(Doing.LOST)
    at, here = f"{running:,}", "/workers"
    if not running:
        return [Sign("Workers", at, "No worker runs, so no job is done", Weight.BAD, here)]
    if lost:
        text = f"{counted(lost, 'worker')} told nothing for 30 seconds"
        return [Sign("Workers", at, text, Weight.WARN, here)]
    return [Sign("Workers", at, f"{counted(running, 'worker')} at work", Weight.OK, here)]
