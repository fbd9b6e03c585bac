"""Tables that are kept by month: which months there are, and whose time is over."""

from collections.abc import Sequence
from datetime import UTC, date

from sqlalchemy import func, text
from sqlalchemy.ext.asyncio import AsyncSession

_MONTHS = text("""
SELECT to_date(right(c.relname, 7), 'YYYY_MM') FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent IN (SELECT to_regclass(name) FROM unnest(CAST(:tables AS text[])) name) GROUP BY 1 ORDER BY 1
""")


async def months_of(session: AsyncSession, *tables: str) -> Sequence[date]:
    """The first days of the months that any of the tables has, oldest first."""
    return (await session.scalars(_MONTHS, {"tables": list(tables)})).all()


async def months_over(session: AsyncSession, *tables: str, kept: int) -> Sequence[date]:
    """Those before the month that runs and the `kept` whole ones before it; 0 keeps all."""
    if not kept:
        return []
    now = (await session.scalars(func.now().select())).one().astimezone(UTC)
    found = await months_of(session, *tables)
    return [one for one in found if (now.year - one.year) * 12 + now.month - one.month > kept]
