"""Finding audit rows."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import ColumnElement, Select, column, func, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ids import floor_id
from app.modules.audit.models import AuditLog
from app.modules.audit.schemas import AuditFilter

# Of the module above, by name: its model is its own.
_TENANT = table("tenant", column("id"), column("name"))


def fitting(wanted: AuditFilter) -> Select[tuple[AuditLog]]:
    query = select(AuditLog)
    if wanted.action:
        below = AuditLog.action.startswith(wanted.action.rstrip(".") + ".", autoescape=True)
        query = query.where((AuditLog.action == wanted.action) | below)
    if wanted.resource:
        kind, _, id_ = wanted.resource.partition(":")
        query = query.where(AuditLog.resource_type == kind)
        query = query.where(AuditLog.resource_id == id_) if id_ else query
    if wanted.actor:
        query = query.where(func.lower(AuditLog.actor_label).startswith(wanted.actor.lower(), autoescape=True))
    for place, value in (
        (AuditLog.actor_id, wanted.actor_id),
        (AuditLog.tenant_id, wanted.tenant_id),
        (AuditLog.outcome, wanted.outcome),
        (AuditLog.request_id, wanted.request_id),
        (AuditLog.correlation_id, wanted.correlation_id),
    ):
        query = query.where(place == value) if value is not None else query
    # By id and not by created_at: ids carry the time, and choose the month's partition.
    if wanted.since is not None:
        query = query.where(AuditLog.id >= floor_id(wanted.since))
    if wanted.until is not None:
        query = query.where(AuditLog.id < floor_id(wanted.until))
    return query


def places(text: str | None) -> list[ColumnElement[bool]]:
    """Where a searched text may stand: conditions of which one is wanted, each with an index of its own."""
    if text is None:
        return []
    found = [
        func.lower(AuditLog.resource_label).startswith(text.lower(), autoescape=True),
        AuditLog.resource_id == text,
        AuditLog.request_id == text,
    ]
    try:
        return [*found, AuditLog.correlation_id == UUID(text), AuditLog.actor_id == UUID(text)]
    except ValueError:
        return found


async def tenant_names(session: AsyncSession, ids: Iterable[UUID]) -> dict[UUID, str]:
    """For the platform: a tenant's own transaction may not read tenants."""
    rows = await session.execute(select(_TENANT.c.id, _TENANT.c.name).where(_TENANT.c.id.in_(set(ids))))
    return {row.id: row.name for row in rows}
