"""Finding audit rows."""

from sqlalchemy import Select, select

from app.core.ids import floor_id
from app.modules.audit.models import AuditLog
from app.modules.audit.schemas import AuditFilter


def fitting(wanted: AuditFilter) -> Select[tuple[AuditLog]]:
    query = select(AuditLog)
    if wanted.action:
        below = AuditLog.action.startswith(wanted.action.rstrip(".") + ".", autoescape=True)
        query = query.where((AuditLog.action == wanted.action) | below)
    if wanted.resource:
        kind, _, id_ = wanted.resource.partition(":")
        query = query.where(AuditLog.resource_type == kind)
        query = query.where(AuditLog.resource_id == id_) if id_ else query
    for column, value in (
        (AuditLog.actor_id, wanted.actor_id),
        (AuditLog.tenant_id, wanted.tenant_id),
        (AuditLog.outcome, wanted.outcome),
    ):
        query = query.where(column == value) if value is not None else query
    # By id and not by created_at: ids carry the time, and choose the month's partition.
    if wanted.since is not None:
        query = query.where(AuditLog.id >= floor_id(wanted.since))
    if wanted.until is not None:
        query = query.where(AuditLog.id < floor_id(wanted.until))
    return query
