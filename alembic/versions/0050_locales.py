"""Languages of tenants' sites, and what their interface says in each."""

import sqlalchemy as sa

from alembic import op

revision = "0050"
down_revision = "0049"

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "locale",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(collation="C"), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("enabled OR NOT is_default", name=op.f("ck_locale_default_enabled")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_locale_tenant_id_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_locale")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_locale_tenant_id")),
        sa.UniqueConstraint("tenant_id", "code", name=op.f("uq_locale_tenant_id_code")),
    )
    op.create_index("uq_locale_default", "locale", ["tenant_id"], unique=True, postgresql_where=sa.text("is_default"))
    op.create_table(
        "interface_text",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("locale_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(collation="C"), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "locale_id"],
            ["locale.tenant_id", "locale.id"],
            name=op.f("fk_interface_text_tenant_id_locale"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_interface_text")),
        sa.UniqueConstraint("tenant_id", "locale_id", "key", name=op.f("uq_interface_text_key")),
    )
    for table in ("locale", "interface_text"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
            "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
        )
        op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO teknav_tenant, teknav_platform")


def downgrade() -> None:
    op.drop_table("interface_text")
    op.drop_table("locale")
