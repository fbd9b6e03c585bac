"""Tenants and their workspaces. A tenant is the border of all data; a workspace divides a tenant's own work."""

from datetime import datetime
from typing import Any
from uuid import UUID

from advanced_alchemy.base import orm_registry
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String, UniqueConstraint, Uuid, column, table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from app.core.models import Base, Json, Row, TenantRow


class Tenant(Row):
    """A customer. The reserved tenant `platform` carries the platform's own rows and is never listed."""

    name: Mapped[str]
    slug: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(default="active", server_default="active")
    """`active`; `suspended`: its doors are shut; `deleting`: they are, and it will be erased at `erase_at`."""
    reason: Mapped[str | None]
    """Why it is not active, as a person said."""
    status_before: Mapped[str | None]
    """The status that comes back when the deletion is taken back."""
    erase_at: Mapped[datetime | None]
    timezone: Mapped[str] = mapped_column(default="UTC", server_default="UTC")
    """Where its site is at home: when its days begin."""
    version: Mapped[int] = mapped_column(default=1, server_default="1", sort_order=92)

    __table_args__ = (
        CheckConstraint("status IN ('active', 'suspended', 'deleting')", name="status"),
        CheckConstraint("(status = 'deleting') = (erase_at IS NOT NULL)", name="erase_at"),
    )

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.version}


class TenantQuota(Base):
    """The most that a tenant may use of something; no row is no limit. The platform's own tenant has none."""

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    most: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (CheckConstraint("most >= 0", name="most"),)


class Workspace(TenantRow):
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), sort_order=-9)
    name: Mapped[str]
    slug: Mapped[str]

    __table_args__ = (
        UniqueConstraint("tenant_id", "slug", name="uq_workspace_slug"),
        UniqueConstraint("tenant_id", "id", name="uq_workspace_id"),
    )


class TenantRecord:
    """Any row of a tenant, as an export holds it; `repository.everything` says what the table of this name is."""

    id: Mapped[UUID]
    table: Mapped[str]
    row: Mapped[Json]


_RECORD = table("tenant_record", column("id", Uuid()), column("table", String()), column("row", JSONB()))
orm_registry.map_imperatively(TenantRecord, _RECORD, primary_key=[_RECORD.c.id, _RECORD.c.table])
