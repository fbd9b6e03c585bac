"""Files of tenants, and the smaller pictures that are made of images."""

import sqlalchemy as sa

from alembic import op

revision = "0036"
down_revision = "0026"

RIGHTS = {
    "file": {"tenant, platform": "SELECT, INSERT, UPDATE, DELETE"},
    "media_asset": {"tenant, platform": "SELECT, INSERT, UPDATE, DELETE"},
}


def row() -> list[sa.Column[object]]:
    """The columns that end a tenant's row."""
    return [
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
    ]


def tables() -> None:
    op.create_table(
        "file",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("byte_count", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("images", sa.String(), nullable=False),
        sa.Column("uploaded_by", sa.String(), nullable=False),
        *row(),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_file_tenant_id_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_file_tenant_id")),
        sa.UniqueConstraint("tenant_id", "sha256", name=op.f("uq_file_tenant_id_sha256")),
        sa.CheckConstraint("images IN ('none', 'pending', 'completed', 'failed')", name=op.f("ck_file_images")),
    )
    op.create_index("ix_file_list", "file", ["tenant_id", sa.text("id DESC")])
    op.create_table(
        "media_asset",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("file_id", sa.Uuid(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("byte_count", sa.Integer(), nullable=False),
        *row(),
        sa.ForeignKeyConstraint(
            ["tenant_id", "file_id"],
            ["file.tenant_id", "file.id"],
            name=op.f("fk_media_asset_tenant_id_file"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_asset")),
        sa.UniqueConstraint("tenant_id", "file_id", "width", name=op.f("uq_media_asset_tenant_id")),
    )


def upgrade() -> None:
    tables()
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
