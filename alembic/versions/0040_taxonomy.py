"""Categories and tags, and which articles stand under them."""

import sqlalchemy as sa

from alembic import op

revision = "0040"
down_revision = "0037"

TABLES = ("tag", "category", "article_tag", "article_category")


def term(*more: sa.Column[object]) -> list[sa.Column[object]]:
    """The columns of a tenant's named row."""
    return [
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        *more,
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
    ]


def keys(table: str) -> list[sa.Constraint]:
    return [
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f(f"fk_{table}_tenant_id_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f(f"uq_{table}_tenant_id")),
        sa.UniqueConstraint("tenant_id", "slug", name=op.f(f"uq_{table}_tenant_id_slug")),
    ]


def links(table: str, of: str) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("term_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "article_id"],
            ["article.tenant_id", "article.id"],
            name=op.f(f"fk_{table}_tenant_id_article"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "term_id"],
            [f"{of}.tenant_id", f"{of}.id"],
            name=op.f(f"fk_{table}_tenant_id_{of}"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint("tenant_id", "article_id", "term_id", name=f"uq_{table}"),
    )
    op.create_index(f"ix_{table}_term", table, ["tenant_id", "term_id"])


def tables() -> None:
    op.create_table("tag", *term(), *keys("tag"))
    op.create_index("uq_tag_name", "tag", ["tenant_id", sa.text("lower(name)")], unique=True)
    op.create_table(
        "category",
        *term(sa.Column("parent_id", sa.Uuid(), nullable=True)),
        sa.Column("path", sa.String(collation="C"), nullable=False),
        *keys("category"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "parent_id"],
            ["category.tenant_id", "category.id"],
            name="fk_category_parent",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_category_path", "category", ["tenant_id", "path"])
    op.create_index(
        "uq_category_name",
        "category",
        ["tenant_id", "parent_id", sa.text("lower(name)")],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    links("article_tag", "tag")
    links("article_category", "category")


def upgrade() -> None:
    tables()
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
            "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
        )
        op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO teknav_tenant, teknav_platform")
