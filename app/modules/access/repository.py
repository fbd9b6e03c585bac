"""Writing and finding reads."""

from typing import Any, cast

from sqlalchemy import Select, Table, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

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
