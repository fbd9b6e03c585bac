"""The roles of each tenant: those it has from the start, and those it made for itself."""

from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Base, TenantRow


class Role(TenantRow):
    """A set of permissions. That of a built-in role stands in the code, under `built_in`; others have rows."""

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), sort_order=-9)
    name: Mapped[str]
    about: Mapped[str] = mapped_column(server_default="")
    built_in: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id", name="uq_role_id"),
        UniqueConstraint("tenant_id", "built_in", name="uq_role_built_in"),
        Index("uq_role_name", "tenant_id", text("lower(name)"), unique=True),
    )


class RolePermission(Base):
    """One permission of a role that a tenant made."""

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    role_id: Mapped[UUID] = mapped_column(primary_key=True)
    permission: Mapped[str] = mapped_column(primary_key=True)

    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "role_id"], ["role.tenant_id", "role.id"], ondelete="CASCADE"),
    )
