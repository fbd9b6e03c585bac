"""The port that tenants fill: whether there is room for so many more unfinished jobs of a tenant."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.queues.models import UNFINISHED, JobRow

Room = Callable[[AsyncSession, UUID, int], Awaitable[None]]
"""Raises `QuotaExceeded` where there is none. Whoever it lets in holds the place until its transaction ends."""


async def require_room(session: AsyncSession, jobs: int) -> None:
    """Ask for room where a tenant asks for work. The platform's work, and what jobs ask for themselves, is let in.

    Raises:
        QuotaExceeded.
    """
    room: Room | None = session.info.get("room_for_jobs")
    scope = scope_of(session)
    if room is not None and jobs and scope.plane is Plane.TENANT:
        await room(session, scope.tenant_id, jobs)


def inside_a_job(session: AsyncSession) -> None:
    """What a job that was let in asks for belongs to it: it is not refused half-way."""
    session.info.pop("room_for_jobs", None)


async def in_flight(session: AsyncSession, tenant_id: UUID) -> int:
    """The unfinished jobs of a tenant."""
    query = select(func.count()).where(JobRow.tenant_id == tenant_id, JobRow.state.in_(UNFINISHED))
    return await session.scalar(query) or 0
