"""Writing and finding reads."""

from typing import Any, cast

from sqlalchemy import Select, Table, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ids import floor_id
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
    row = DataAccessLog
    query = select(row)
    if wanted.action:
        below = row.action.startswith(wanted.action.rstrip(".") + ".", autoescape=True)
        query = query.where((row.action == wanted.action) | below)
    if wanted.resource:
        kind, _, id_ = wanted.resource.partition(":")
        query = query.where(row.resource_type == kind)
        query = query.where(row.resource_id == id_) if id_ else query
    if wanted.actor:
        query = query.where(func.lower(row.actor_label).startswith(wanted.actor.lower(), autoescape=True))
    for place, value in (
        (row.actor_id, wanted.actor_id),
        (row.tenant_id, wanted.tenant_id),
        (row.request_id, wanted.request_id),
        (row.correlation_id, wanted.correlation_id),
        (row.exported, wanted.exported),
    ):
        query = query.where(place == value) if value is not None else query
    # By id and not by created_at: ids carry the time, and choose the month's partition.
    if wanted.since is not None:
        query = query.where(row.id >= floor_id(wanted.since))
    if wanted.until is not None:
        query = query.where(row.id < floor_id(wanted.until))
    return query
