"""Audit rows on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import convert

from app.core.wire import Outgoing
from app.modules.audit.models import AuditLog


class AuditRead(Outgoing):
    """One action. `before` and `after` hold the changed fields alone, with secrets hidden."""

    id: UUID
    tenant_id: UUID
    created_at: datetime
    action: str
    outcome: str
    status: int | None
    actor_kind: str
    actor_id: UUID | None
    actor_label: str
    impersonator_id: UUID | None
    token_id: UUID | None
    resource_type: str | None
    resource_id: str | None
    resource_label: str | None
    changed_fields: list[str]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    request_id: str | None
    correlation_id: UUID | None
    ip: str | None
    user_agent: str | None
    path: str | None


class AuditPage(Outgoing):
    """A page of actions, newest first."""

    items: Sequence[AuditRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: AuditLog) -> AuditRead:
    return convert(row, AuditRead, from_attributes=True)
