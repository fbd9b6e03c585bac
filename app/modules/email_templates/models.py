"""The templates of mails that tenants write, and every version of each."""

from datetime import datetime
from typing import Any
from uuid import UUID

from advanced_alchemy.types import JsonB
from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.ids import new_id
from app.core.models import Base, TenantRow


class EmailTemplate(TenantRow):
    """One template, by a name of the tenant's choice. `latest` is the number of the version that is sent.

    `deleted_at` takes it out of every list and frees its name; mails that were written with it keep their version.
    """

    __tablename__ = "email_template"
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), sort_order=-9)
    name: Mapped[str]
    latest: Mapped[int]
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        Index("uq_email_template_name", "tenant_id", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
    )


class EmailTemplateVersion(Base):
    """What a template says from one change to the next. Never changed.

    `variables` are `EmailVariable` as JSON; `category` is what recipients can do without, `transactional` is all else.
    """

    __tablename__ = "email_template_version"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant_id: Mapped[UUID]
    template_id: Mapped[UUID]
    number: Mapped[int]
    subject: Mapped[str]
    body: Mapped[str] = mapped_column(Text)
    category: Mapped[str]
    variables: Mapped[list[dict[str, Any]]] = mapped_column(JsonB)
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("tenant_id", "template_id", "number"),
        ForeignKeyConstraint(["tenant_id", "template_id"], ["email_template.tenant_id", "email_template.id"]),
    )
