"""Plugins of tenants, how each is set up, what is to be delivered to them, and every try at that."""

from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.ids import new_id
from app.core.models import Base, Json, TenantRow


class Status(StrEnum):
    """Where a delivery stands. Between two tries it is queued again."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"


class Plugin(TenantRow):
    """A program of somebody else's that a tenant lets hear of what happens, as its manifest describes it.

    `removed_at` takes it out of every list and frees its key; the row stays for its deliveries.
    """

    __tablename__ = "plugin"
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), sort_order=-9)
    key: Mapped[str]
    name: Mapped[str]
    release: Mapped[str]
    """The manifest's own version."""
    endpoint: Mapped[str]
    events: Mapped[list[str]]
    """The topics of the facts that it wants to hear."""
    description: Mapped[str] = mapped_column(server_default="")
    schema: Mapped[Json]
    """What can be set, by name."""
    installed_by: Mapped[str]
    removed_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        Index("uq_plugin_key", "tenant_id", "key", unique=True, postgresql_where=text("removed_at IS NULL")),
        Index("ix_plugin_list", "tenant_id", text("id DESC"), postgresql_where=text("removed_at IS NULL")),
    )


class PluginConfig(TenantRow):
    """How a tenant's plugin is set up. Its `version` counts what people change of the plugin as a whole.

    Secrets are encrypted; `secret_names` says which settings of that kind are set. While `switch_at` lies ahead, what
    is sent is signed with `signing_secret` and with `next_secret`, and from then on with the latter alone.
    """

    __tablename__ = "plugin_config"
    plugin_id: Mapped[UUID]
    settings: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    secrets: Mapped[bytes | None]
    secret_names: Mapped[list[str]] = mapped_column(server_default=text("'[]'::jsonb"))
    signing_secret: Mapped[bytes]
    next_secret: Mapped[bytes | None]
    switch_at: Mapped[datetime | None]
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    disabled_reason: Mapped[str | None]
    disabled_at: Mapped[datetime | None]
    failure_streak: Mapped[int] = mapped_column(server_default="0")
    """How many deliveries in a row have failed for good."""

    __table_args__ = (
        UniqueConstraint("tenant_id", "plugin_id"),
        ForeignKeyConstraint(["tenant_id", "plugin_id"], ["plugin.tenant_id", "plugin.id"]),
    )

    @property
    def overlap_until(self) -> datetime | None:
        """Until when the secret before is used as well; None when it is not."""
        return self.switch_at if self.switch_at is not None and self.switch_at > datetime.now(UTC) else None


class PluginDelivery(TenantRow):
    """One message for one receiver: a plugin, or an `address`. Its id is the message's, the same at every try.

    `data` is what the message tells of, without the settings that a plugin gets beside it. `error` and `http_code`
    are those of the last try.
    """

    __allow_unmapped__ = True
    attempts: int = 0
    next_at: datetime | None = None
    """Neither is a column: how often it was tried, and when the next try begins, for whoever shows the delivery."""
    __tablename__ = "plugin_delivery"
    plugin_id: Mapped[UUID | None]
    address: Mapped[str | None]
    type: Mapped[str]
    data: Mapped[Json]
    key: Mapped[str]
    """Two messages with one key for one receiver are one."""
    test: Mapped[bool] = mapped_column(server_default=text("false"))
    status: Mapped[str] = mapped_column(server_default=Status.QUEUED)
    http_code: Mapped[int | None] = mapped_column(SmallInteger)
    error: Mapped[str | None] = mapped_column(Text)
    job_id: Mapped[UUID]
    requested_by: Mapped[str]
    correlation_id: Mapped[UUID | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint(
            "tenant_id", "plugin_id", "key", name="uq_plugin_delivery_key", postgresql_nulls_not_distinct=True
        ),
        ForeignKeyConstraint(["tenant_id", "plugin_id"], ["plugin.tenant_id", "plugin.id"]),
        CheckConstraint("status IN ('queued', 'delivered', 'failed', 'skipped')", name="status"),
        CheckConstraint("plugin_id IS NULL OR address IS NULL", name="receiver"),
        Index("ix_plugin_delivery_list", "tenant_id", text("id DESC")),
        Index("ix_plugin_delivery_plugin", "tenant_id", "plugin_id", text("id DESC")),
        Index("ix_plugin_delivery_status", "tenant_id", "status", text("id DESC")),
        Index("ix_plugin_delivery_job", "job_id"),
        Index("ix_plugin_delivery_correlation", "correlation_id"),
    )


class PluginExecutionLog(Base):
    """One try at a delivery: what was called, what came back, in how many milliseconds.

    `response` is the beginning of the answer's body, secrets hidden. A row without `finished_at` is under way.
    """

    __tablename__ = "plugin_execution_log"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant_id: Mapped[UUID]
    delivery_id: Mapped[UUID]
    attempt: Mapped[int]
    url: Mapped[str]
    http_code: Mapped[int | None] = mapped_column(SmallInteger)
    latency_ms: Mapped[int | None]
    response: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("delivery_id", "attempt"),
        ForeignKeyConstraint(
            ["tenant_id", "delivery_id"], ["plugin_delivery.tenant_id", "plugin_delivery.id"], ondelete="CASCADE"
        ),
    )
