"""The audit log: who did what, written in the transaction of the change and never changed afterwards."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.ids import new_id
from app.core.models import Base, Json


class AuditLog(Base):
    """One action, kept by month. Append-only: no runtime role may update or delete a row.

    `before` and `after` hold the changed fields alone, with secrets hidden.
    """

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant_id: Mapped[UUID]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    actor_label: Mapped[str]
    impersonator_id: Mapped[UUID | None]
    token_id: Mapped[UUID | None]
    request_id: Mapped[str | None]
    correlation_id: Mapped[UUID | None]
    action: Mapped[str]
    resource_type: Mapped[str | None]
    resource_id: Mapped[str | None]
    resource_label: Mapped[str | None]
    before: Mapped[Json | None]
    after: Mapped[Json | None]
    changed_fields: Mapped[list[str]] = mapped_column(server_default=text("'[]'::jsonb"))
    reason: Mapped[str | None]
    outcome: Mapped[str] = mapped_column(server_default="success")
    """success, or how an attempt failed: invalid, denied, failed."""
    status: Mapped[int | None]
    ip: Mapped[str | None]
    user_agent: Mapped[str | None]
    path: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    salt: Mapped[UUID | None] = mapped_column(server_default=text("gen_random_uuid()"))
    """Of the digests by which the row is sealed; gone where something was erased."""
    erased: Mapped[Json | None]
    """What is left of the digests then, see `app.core.digests.Marks`."""

    __table_args__ = (
        Index("ix_audit_log_tenant", "tenant_id", text("id DESC")),
        Index("ix_audit_log_action", text("action text_pattern_ops"), text("id DESC")),
        Index("ix_audit_log_resource", "resource_type", "resource_id", text("id DESC")),
        Index("ix_audit_log_actor", "actor_id", text("id DESC")),
        Index("ix_audit_log_actor_label", text("lower(actor_label) text_pattern_ops"), text("id DESC")),
        Index("ix_audit_log_label", text("lower(resource_label) text_pattern_ops"), text("id DESC")),
        Index("ix_audit_log_thing", "resource_id", text("id DESC")),
        Index("ix_audit_log_outcome", "outcome", text("id DESC"), postgresql_where=text("outcome <> 'success'")),
        Index("ix_audit_log_request", "request_id"),
        Index("ix_audit_log_correlation", "correlation_id"),
        {"postgresql_partition_by": "RANGE (id)", "info": {"outlives_tenant": True}},
    )
