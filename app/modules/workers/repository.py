"""Queries on worker processes."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import __version__
from app.core.signs import Sign, Weight, counted
from app.modules.workers.schemas import Doing, doing
from app.queues.models import WorkerRow


async def workers(session: AsyncSession) -> Sequence[WorkerRow]:
    return (await session.scalars(select(WorkerRow).order_by(WorkerRow.host, WorkerRow.started_at))).all()


async def signs(session: AsyncSession) -> list[Sign]:
    """Whether anybody works."""
    rows = await workers(session)
    found = [doing(row) for row in rows]
    others = sorted({row.version for row in rows if doing(row) is not Doing.LOST and row.version != __version__})
    running, lost = found.count(Doing.RUNNING), found.count(Doing.LOST)
    at, here = f"{running:,}", "/workers"
    if not running:
        return [Sign("Workers", at, "No worker runs, so no job is done", Weight.BAD, here)]
    if lost:
        text = f"{counted(lost, 'worker')} told nothing for 30 seconds"
        return [Sign("Workers", at, text, Weight.WARN, here)]
    if others:
        text = f"Some workers are of version {', '.join(others)}, and what reads this is {__version__}"
        return [Sign("Workers", at, text, Weight.WARN, here)]
    return [Sign("Workers", at, f"{counted(running, 'worker')} at work, of version {__version__}", Weight.OK, here)]
