"""Tenants and their workspaces. A tenant is the border of all data; a workspace divides a tenant's own work."""

from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from app.core.models import Row, TenantRow


class Tenant(Row):
    """A customer. The reserved tenant `platform` carries the platform's own rows and is never listed."""

    name: Mapped[str]
    slug: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(default="active", server_default="active")
    version: Mapped[int] = mapped_column(default=1, server_default="1", sort_order=92)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.version}


class Workspace(TenantRow):
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), sort_order=-9)
    name: Mapped[str]
    slug: Mapped[str]

    __table_args__ = (
        UniqueConstraint("tenant_id", "slug", name="uq_workspace_slug"),
        UniqueConstraint("tenant_id", "id", name="uq_workspace_id"),
    )
