"""Writing and finding reads."""

from typing import Any, cast
from uuid import UUID

from sqlalchemy import Select, Table, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.trace import MOST_STEPS, Step
from app.core.trails import rows_of
from app.modules.access.models import DataAccessLog
from app.modules.access.schemas import AccessFilter

_log = cast(Table, DataAccessLog.__table__)
_quick = func.set_config("synchronous_commit", "off", True).alias("quick")


async def write(session: AsyncSession, values: dict[str, Any], *, quick: bool) -> None:
    """One INSERT; with `quick` the same statement says that the commit need not wait for the disk."""
    given = select(*(literal(value, _log.c[name].type) for name, value in values.items()))
    given = given.select_from(_quick) if quick else given
    await session.execute(insert(_log).from_select([*values], given, include_defaults=False))


def fitting(wanted: AccessFilter) -> Select[tuple[DataAccessLog]]:
    query = rows_of(DataAccessLog, wanted)
    return query.where(DataAccessLog.exported == wanted.exported) if wanted.exported is not None else query


async def steps(session: AsyncSession, correlation_id: UUID) -> list[Step]:
    """What sensitive things were read under a correlation id."""
    query = select(DataAccessLog).where(DataAccessLog.correlation_id == correlation_id)
    return [
        Step(
            "read",
            row.action,
            "success",
            row.created_at,
            note=f"{row.actor_label}, {row.resource_type}",
            path=f"/logs/access/{row.id}",
            tenant_id=row.tenant_id,
        )
        for row in await session.scalars(query.order_by(DataAccessLog.id).limit(MOST_STEPS))
    ]
