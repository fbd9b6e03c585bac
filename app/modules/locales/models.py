"""A tenant's languages, and what its site's interface says in each."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Row, TenantRow


class Locale(TenantRow):
    """A language of a tenant's site, in the canonical form of BCP 47. A tenant that has any has one default."""

    __tablename__ = "locale"
    code: Mapped[str] = mapped_column(String(collation="C"))
    name: Mapped[str]
    is_default: Mapped[bool]
    enabled: Mapped[bool]
    """What is not is being prepared: apps read it, and do not offer it to readers."""
    place: Mapped[int]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("tenant_id", "code", name="uq_locale_tenant_id_code"),
        ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        CheckConstraint("enabled OR NOT is_default", name="default_enabled"),
        Index("uq_locale_default", "tenant_id", unique=True, postgresql_where=text("is_default")),
    )


class InterfaceText(Row):
    """What the interface says at a key, in one language. A key stands in the default language, and may in others."""

    __tablename__ = "interface_text"
    tenant_id: Mapped[UUID] = mapped_column(sort_order=-9)
    locale_id: Mapped[UUID]
    key: Mapped[str] = mapped_column(String(collation="C"))
    text: Mapped[str]

    __table_args__ = (
        UniqueConstraint("tenant_id", "locale_id", "key", name="uq_interface_text_key"),
        ForeignKeyConstraint(["tenant_id", "locale_id"], ["locale.tenant_id", "locale.id"], ondelete="CASCADE"),
    )
