"""Translations: which article says in another language what this one says."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import TenantRow


class Translation(TenantRow):
    """An article that translates another. It has its own versions, status and readers.

    `source_version` is the one of the original that it was made of, or last found to agree with.
    """

    __tablename__ = "translation"
    source_id: Mapped[UUID]
    article_id: Mapped[UUID]
    language: Mapped[str]
    source_version: Mapped[int]
    origin: Mapped[str] = mapped_column(server_default="human")

    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "source_id"], ["article.tenant_id", "article.id"]),
        ForeignKeyConstraint(
            ["tenant_id", "article_id"],
            ["article.tenant_id", "article.id"],
            name="fk_translation_article_id_article",
        ),
        UniqueConstraint("tenant_id", "article_id", name="uq_translation_article"),
        UniqueConstraint("tenant_id", "source_id", "language", name="uq_translation_language"),
        CheckConstraint("origin IN ('human', 'ai')", name="origin"),
    )
