"""What may run: definitions, their versions that never change, and the steps of each."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.ids import new_id
from app.core.models import Base, Json, TenantRow


class WorkflowDefinition(TenantRow):
    """One workflow: a draft that people edit, and the version that runs."""

    __tablename__ = "workflow_definition"
    key: Mapped[str]
    name: Mapped[str]
    draft: Mapped[Json]
    active_version_id: Mapped[UUID | None]
    """What new instances run; None before the first version, and while it is switched off."""
    topic: Mapped[str | None]
    """The fact that starts it, as the active version has it."""

    __table_args__ = (
        UniqueConstraint("tenant_id", "id", name="uq_workflow_definition_id"),
        UniqueConstraint("tenant_id", "key", name="uq_workflow_definition_key"),
        ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        Index(
            "ix_workflow_definition_topic", "tenant_id", "topic", postgresql_where=text("active_version_id IS NOT NULL")
        ),
    )


class WorkflowVersion(Base):
    """A definition as it was published. Never changed: what runs goes on with the version it began with."""

    __tablename__ = "workflow_version"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant_id: Mapped[UUID]
    definition_id: Mapped[UUID]
    number: Mapped[int]
    graph: Mapped[Json]
    checksum: Mapped[str]
    """SHA-256 of the graph as JSON with sorted keys, in hexadecimal digits."""
    published_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("definition_id", "number"),
        ForeignKeyConstraint(
            ["tenant_id", "definition_id"], ["workflow_definition.tenant_id", "workflow_definition.id"]
        ),
    )


class WorkflowStep(Base):
    """One step of a version; what its type wants stands in `config`."""

    __tablename__ = "workflow_step"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant_id: Mapped[UUID]
    version_id: Mapped[UUID]
    position: Mapped[int]
    key: Mapped[str]
    type: Mapped[str]
    config: Mapped[Json]
    next: Mapped[str | None]
    """The step behind it; None where it is the last."""

    __table_args__ = (
        UniqueConstraint("version_id", "key", name="uq_workflow_step_key"),
        UniqueConstraint("version_id", "position", name="uq_workflow_step_position"),
        ForeignKeyConstraint(["tenant_id", "version_id"], ["workflow_version.tenant_id", "workflow_version.id"]),
    )
