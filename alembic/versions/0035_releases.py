"""Releases of articles, at a moment that was chosen, and translations."""

import sqlalchemy as sa

from alembic import op

revision = "0035"
down_revision = "0025"

NEWEST = sa.literal_column("id DESC")


def upgrade() -> None:
    releases()
    translations()


def releases() -> None:
    op.create_table(
        "release",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(), server_default="scheduled", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("correlation_id", sa.Uuid(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("action IN ('publish', 'unpublish')", name=op.f("ck_release_action")),
        sa.CheckConstraint("number IS NULL OR action = 'publish'", name=op.f("ck_release_number")),
        sa.CheckConstraint(
            "status IN ('scheduled', 'completed', 'failed', 'cancelled')", name=op.f("ck_release_status")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "article_id"],
            ["article.tenant_id", "article.id"],
            name=op.f("fk_release_tenant_id_article"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_release")),
    )
    op.create_index("ix_release_list", "release", ["tenant_id", NEWEST], unique=False)
    op.create_index("ix_release_article", "release", ["tenant_id", "article_id", NEWEST], unique=False)
    op.create_index("ix_release_job", "release", ["job_id"], unique=False)
    waits = sa.text("status = 'scheduled'")
    columns = ["tenant_id", "article_id", "action"]
    op.create_index("uq_release_scheduled", "release", columns, unique=True, postgresql_where=waits)
    protect("release")


def translations() -> None:
    op.create_table(
        "translation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("source_version", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(), server_default="human", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("origin IN ('human', 'ai')", name=op.f("ck_translation_origin")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "source_id"],
            ["article.tenant_id", "article.id"],
            name=op.f("fk_translation_tenant_id_article"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "article_id"],
            ["article.tenant_id", "article.id"],
            name="fk_translation_article_id_article",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_translation")),
        sa.UniqueConstraint("tenant_id", "article_id", name="uq_translation_article"),
        sa.UniqueConstraint("tenant_id", "source_id", "language", name="uq_translation_language"),
    )
    protect("translation")


def protect(table: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
        "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
    )
    op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO teknav_tenant, teknav_platform")
