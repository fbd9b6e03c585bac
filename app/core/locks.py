"""Locks that hold until a transaction ends."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession


async def hold(session: AsyncSession, place: str) -> None:
    """Nobody else gets past here with this place until the transaction ends: what is counted then stays true."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(place, 0))))
