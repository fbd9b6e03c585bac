"""The access log: who read what sensitive thing. Never changed afterwards."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.ids import new_id
from app.core.models import Base


class DataAccessLog(Base):
    """One read, kept by month. Append-only: no runtime role may update or delete a row."""

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
    resource_type: Mapped[str]
    resource_id: Mapped[str | None]
    query: Mapped[str | None]
    """For a list: the fingerprint of its filters, the same for the same question."""
    row_count: Mapped[int]
    fields: Mapped[list[str]] = mapped_column(server_default=text("'[]'::jsonb"))
    """What of it is sensitive."""
    purpose: Mapped[str | None]
    cached: Mapped[bool]
    exported: Mapped[bool]
    ip: Mapped[str | None]
    user_agent: Mapped[str | None]
    path: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("ix_data_access_log_tenant", "tenant_id", text("id DESC")),
        Index("ix_data_access_log_action", text("action text_pattern_ops"), text("id DESC")),
        Index("ix_data_access_log_resource", "resource_type", "resource_id", text("id DESC")),
        Index("ix_data_access_log_actor", "actor_id", text("id DESC")),
        Index("ix_data_access_log_actor_label", text("lower(actor_label) text_pattern_ops"), text("id DESC")),
        Index("ix_data_access_log_correlation", "correlation_id"),
        Index("ix_data_access_log_request", "request_id"),
        Index("ix_data_access_log_exported", text("id DESC"), postgresql_where=text("exported")),
        {"postgresql_partition_by": "RANGE (id)", "info": {"outlives_tenant": True}},
    )
