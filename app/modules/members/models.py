"""Who belongs to a tenant, and to which of its workspaces."""

from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Base, TenantRow


class TenantMember(TenantRow):
    """A person in a tenant. Without a role it may do there what its workspaces let it do, and nothing else.

    `email` and `name` are copies, since a tenant cannot read people; PostgreSQL keeps them as the person has them.
    """

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), sort_order=-9)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    email: Mapped[str]
    name: Mapped[str]
    role_id: Mapped[UUID | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id", name="uq_tenant_member_id"),
        UniqueConstraint("tenant_id", "user_id", name="uq_tenant_member_user"),
        ForeignKeyConstraint(["tenant_id", "role_id"], ["role.tenant_id", "role.id"]),
        Index("ix_tenant_member_user", "user_id"),
        Index("ix_tenant_member_role", "tenant_id", "role_id"),
    )


class WorkspaceMember(TenantRow):
    """A member's place in a workspace; what it may do there is in its roles."""

    member_id: Mapped[UUID]
    workspace_id: Mapped[UUID]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id", name="uq_workspace_member_id"),
        UniqueConstraint("tenant_id", "member_id", "workspace_id", name="uq_workspace_member_place"),
        ForeignKeyConstraint(
            ["tenant_id", "member_id"], ["tenant_member.tenant_id", "tenant_member.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["tenant_id", "workspace_id"], ["workspace.tenant_id", "workspace.id"], ondelete="CASCADE"
        ),
        Index("ix_workspace_member_workspace", "tenant_id", "workspace_id"),
    )


class WorkspaceRole(Base):
    """A role that a member has in one workspace."""

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_member_id: Mapped[UUID] = mapped_column(primary_key=True)
    role_id: Mapped[UUID] = mapped_column(primary_key=True)

    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "workspace_member_id"],
            ["workspace_member.tenant_id", "workspace_member.id"],
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(["tenant_id", "role_id"], ["role.tenant_id", "role.id"]),
        Index("ix_workspace_role_role", "tenant_id", "role_id"),
    )
