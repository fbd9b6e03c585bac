"""Imports of articles from files, and what became of each thing in them."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0026"
down_revision = "0018"

RIGHTS = {
    "import_run": {"tenant, platform": "SELECT, INSERT, UPDATE, DELETE"},
    "import_item": {"tenant, platform": "SELECT, INSERT, UPDATE, DELETE"},
}


def row() -> list[sa.Column[object]]:
    """The columns that end a tenant's row."""
    return [
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
    ]


def runs() -> None:
    op.create_table(
        "import_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=True),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("file_name", sa.String(), nullable=False),
        sa.Column("byte_count", sa.Integer(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("created", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor_label", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        *row(),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_import_run_tenant_id_tenant")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "workspace_id"],
            ["workspace.tenant_id", "workspace.id"],
            name=op.f("fk_import_run_tenant_id_workspace"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_run")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_import_run_tenant_id")),
        sa.CheckConstraint("format IN ('markdown', 'wxr')", name=op.f("ck_import_run_format")),
        sa.CheckConstraint("status IN ('queued', 'running', 'completed', 'failed')", name=op.f("ck_import_run_status")),
    )
    op.create_index("ix_import_run_list", "import_run", ["tenant_id", sa.text("id DESC")])
    op.create_index("ix_import_run_workspace", "import_run", ["tenant_id", "workspace_id"])


def items() -> None:
    op.create_table(
        "import_item",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("dated", sa.String(), nullable=True),
        sa.Column("tags", postgresql.JSONB(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("article_id", sa.Uuid(), nullable=True),
        *row(),
        sa.ForeignKeyConstraint(
            ["tenant_id", "import_id"],
            ["import_run.tenant_id", "import_run.id"],
            name=op.f("fk_import_item_tenant_id_import_run"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "article_id"],
            ["article.tenant_id", "article.id"],
            name=op.f("fk_import_item_tenant_id_article"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_item")),
        sa.UniqueConstraint("tenant_id", "import_id", "n", name=op.f("uq_import_item_tenant_id")),
        sa.CheckConstraint("outcome IN ('created', 'ready', 'skipped', 'failed')", name=op.f("ck_import_item_outcome")),
    )
    op.create_index(
        "ix_import_item_source",
        "import_item",
        ["tenant_id", "source"],
        postgresql_where=sa.text("outcome = 'created'"),
    )
    op.create_index("ix_import_item_article", "import_item", ["tenant_id", "article_id"])


def upgrade() -> None:
    runs()
    items()
    for table, roles in RIGHTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
            "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
        )
        op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
        for names, rights in roles.items():
            to = ", ".join(f"teknav_{name}" for name in names.split(", "))
            op.execute(f"GRANT {rights} ON {table} TO {to}")
