"""What every table shares. Columns that repeat stand here once."""

from datetime import datetime
from typing import Any
from uuid import UUID

from advanced_alchemy.base import CommonTableAttributes, convention, orm_registry
from advanced_alchemy.types import DateTimeUTC
from sqlalchemy import MetaData, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from app.core.ids import new_id

Json = dict[str, Any]


class Base(CommonTableAttributes, DeclarativeBase):
    __abstract__ = True
    type_annotation_map = {  # noqa: RUF012
        **orm_registry.type_annotation_map,
        datetime: DateTimeUTC(timezone=True),
        Json: JSONB(none_as_null=True),
        list[str]: JSONB(none_as_null=True),
        list[Json]: JSONB(none_as_null=True),
    }
    metadata = MetaData(naming_convention=convention)


class Row(Base):
    """A table with a UUIDv7 key and its times."""

    __abstract__ = True
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id, sort_order=-10)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=90)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now(), sort_order=91)


class TenantRow(Row):
    """A row of one tenant: row-level security compares `tenant_id` with the transaction's.

    `version` counts changes: it is the optimistic lock and the ETag.
    A table that others point at adds `UniqueConstraint("tenant_id", "id")`, and they point at both columns:
    a foreign key on `id` alone would accept another tenant's row.
    """

    __abstract__ = True
    tenant_id: Mapped[UUID] = mapped_column(sort_order=-9)
    version: Mapped[int] = mapped_column(default=1, server_default="1", sort_order=92)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.version}
