"""Categories and tags of a tenant, and which articles stand under them."""

from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.ids import new_id
from app.core.models import Base, TenantRow


class Tag(TenantRow):
    """A word that articles are found by. A tenant has each name once, in whatever case it is written."""

    __tablename__ = "tag"
    name: Mapped[str]
    slug: Mapped[str]

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("tenant_id", "slug", name="uq_tag_tenant_id_slug"),
        ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        Index("uq_tag_name", "tenant_id", text("lower(name)"), unique=True),
    )


class Category(TenantRow):
    """A place in a tenant's tree. Its slug is the tenant's own, wherever in the tree it stands."""

    __tablename__ = "category"
    parent_id: Mapped[UUID | None]
    name: Mapped[str]
    slug: Mapped[str]
    path: Mapped[str] = mapped_column(String(collation="C"))
    """The slugs from the root to it, with spaces between: they sort before all that slugs hold, so the order of paths
    is that of the tree."""

    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("tenant_id", "slug", name="uq_category_tenant_id_slug"),
        ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        ForeignKeyConstraint(
            ["tenant_id", "parent_id"],
            ["category.tenant_id", "category.id"],
            name="fk_category_parent",
            ondelete="CASCADE",
        ),
        Index("ix_category_path", "tenant_id", "path"),
        Index(
            "uq_category_name",
            "tenant_id",
            "parent_id",
            text("lower(name)"),
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    @property
    def depth(self) -> int:
        """How many stand above it."""
        return self.path.count(" ")


class ArticleTag(Base):
    """A tag of an article."""

    __tablename__ = "article_tag"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant_id: Mapped[UUID]
    article_id: Mapped[UUID]
    term_id: Mapped[UUID]

    __table_args__ = (
        UniqueConstraint("tenant_id", "article_id", "term_id", name="uq_article_tag"),
        ForeignKeyConstraint(["tenant_id", "article_id"], ["article.tenant_id", "article.id"]),
        ForeignKeyConstraint(["tenant_id", "term_id"], ["tag.tenant_id", "tag.id"], ondelete="CASCADE"),
        Index("ix_article_tag_term", "tenant_id", "term_id"),
    )


class ArticleCategory(Base):
    """A category of an article."""

    __tablename__ = "article_category"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant_id: Mapped[UUID]
    article_id: Mapped[UUID]
    term_id: Mapped[UUID]

    __table_args__ = (
        UniqueConstraint("tenant_id", "article_id", "term_id", name="uq_article_category"),
        ForeignKeyConstraint(["tenant_id", "article_id"], ["article.tenant_id", "article.id"]),
        ForeignKeyConstraint(["tenant_id", "term_id"], ["category.tenant_id", "category.id"], ondelete="CASCADE"),
        Index("ix_article_category_term", "tenant_id", "term_id"),
    )
