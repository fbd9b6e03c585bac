"""Files made of lists. They lie in PostgreSQL, so that any web process on any host can hand them out."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Base, Json, TenantRow


class Export(TenantRow):
    """A list with its filters, and how far its file is. `cursor` is the last row with an id that is in the file.

    `place` says how far it is in the rows without an id that stand behind those: `Place.rest` in the service.
    """

    list: Mapped[str]
    format: Mapped[str]
    filter: Mapped[Json]
    state: Mapped[str]
    total: Mapped[int | None]
    row_count: Mapped[int]
    byte_count: Mapped[int] = mapped_column(BigInteger)
    chunks: Mapped[int]
    cursor: Mapped[UUID]
    place: Mapped[Json | None]
    job_id: Mapped[UUID]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    actor_label: Mapped[str]
    error: Mapped[str | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'completed', 'failed')", name="state"),
        UniqueConstraint("tenant_id", "id"),
        Index("ix_export_list", "tenant_id", text("id DESC")),
        Index("ix_export_expires", "expires_at"),
    )


class ExportChunk(Base):
    """A piece of the file, in the order of `n`."""

    export_id: Mapped[UUID] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tenant_id: Mapped[UUID]
    data: Mapped[bytes]

    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "export_id"], ["export.tenant_id", "export.id"], ondelete="CASCADE"),
    )
