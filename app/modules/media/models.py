"""Files of tenants, and the smaller pictures that are made of images. What is in them lies in a folder."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import TenantRow


class Images(StrEnum):
    """How far the smaller pictures of a file are; `none`: it is no image."""

    NONE = "none"
    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


class File(TenantRow):
    """One file. A tenant has the same bytes once."""

    __tablename__ = "file"
    name: Mapped[str]
    media_type: Mapped[str]
    byte_count: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    width: Mapped[int | None]
    height: Mapped[int | None]
    images: Mapped[str]
    uploaded_by: Mapped[str]
    correlation_id: Mapped[UUID | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("tenant_id", "sha256", name="uq_file_tenant_id_sha256"),
        ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        CheckConstraint("images IN ('none', 'pending', 'completed', 'failed')", name="images"),
        Index("ix_file_correlation", "correlation_id"),
        Index("ix_file_list", "tenant_id", text("id DESC")),
    )


class MediaAsset(TenantRow):
    """A smaller picture of an image, as WebP, without what cameras write into pictures."""

    __tablename__ = "media_asset"
    file_id: Mapped[UUID]
    width: Mapped[int]
    height: Mapped[int]
    media_type: Mapped[str]
    byte_count: Mapped[int]

    __table_args__ = (
        UniqueConstraint("tenant_id", "file_id", "width"),
        ForeignKeyConstraint(["tenant_id", "file_id"], ["file.tenant_id", "file.id"], ondelete="CASCADE"),
    )
