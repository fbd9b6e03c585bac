"""Mail templates with versions, what people do not want by mail, and mails that are written with templates."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0017"
down_revision = "0015"

# What each role may do with the new tables. A version is never changed; the platform deletes it with its tenant.
# A person who unsubscribes has no session: the system writes it down.
RIGHTS = {
    "email_template": {"tenant, platform": "SELECT, INSERT, UPDATE, DELETE"},
    "email_template_version": {"tenant": "SELECT, INSERT", "platform": "SELECT, INSERT, DELETE"},
    "email_preference": {"tenant, platform": "SELECT, INSERT, UPDATE, DELETE", "system": "SELECT, INSERT, UPDATE"},
    "email_suppression": {"tenant, platform": "SELECT, INSERT, UPDATE, DELETE", "system": "SELECT, INSERT, UPDATE"},
}


def row() -> list[sa.Column[object]]:
    """The columns that end a tenant's row."""
    return [
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
    ]


def templates() -> None:
    op.create_table(
        "email_template",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        *row(),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_email_template_tenant_id_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_template")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_email_template_tenant_id")),
    )
    op.create_index(
        "uq_email_template_name",
        "email_template",
        ["tenant_id", "name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "email_template_version",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("template_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("variables", postgresql.JSONB(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "template_id"],
            ["email_template.tenant_id", "email_template.id"],
            name=op.f("fk_email_template_version_tenant_id_email_template"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_template_version")),
        sa.UniqueConstraint("tenant_id", "template_id", "number", name=op.f("uq_email_template_version_tenant_id")),
    )


def preferences() -> None:
    op.create_table(
        "email_preference",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("subscribed", sa.Boolean(), nullable=False),
        *row(),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_email_preference_tenant_id_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_preference")),
        sa.UniqueConstraint("tenant_id", "recipient", "category", name=op.f("uq_email_preference_tenant_id")),
        sa.CheckConstraint("category <> 'transactional'", name=op.f("ck_email_preference_category")),
    )
    op.create_table(
        "email_suppression",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("email_id", sa.Uuid(), nullable=True),
        *row(),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_email_suppression_tenant_id_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_suppression")),
        sa.UniqueConstraint("tenant_id", "recipient", name=op.f("uq_email_suppression_tenant_id")),
        sa.CheckConstraint(
            "reason IN ('bounced', 'complained', 'unsubscribed', 'manual')", name=op.f("ck_email_suppression_reason")
        ),
    )


def mails() -> None:
    op.add_column("email_log", sa.Column("template_id", sa.Uuid(), nullable=True))
    op.add_column("email_log", sa.Column("category", sa.String(), server_default="transactional", nullable=False))
    op.add_column("email_log", sa.Column("correlation_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_email_log_tenant_id_email_template_version"),
        "email_log",
        "email_template_version",
        ["tenant_id", "template_id", "template_version"],
        ["tenant_id", "template_id", "number"],
    )
    op.create_index("ix_email_log_tenant", "email_log", ["tenant_id", sa.text("id DESC")], unique=False)
    op.create_index("ix_email_log_template", "email_log", ["tenant_id", "template_id"], unique=False)


def upgrade() -> None:
    templates()
    preferences()
    mails()
    for table, roles in RIGHTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
            "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
        )
        op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
        if "system" in roles:
            op.execute(f"CREATE POLICY system_rows ON {table} TO teknav_system USING (true)")
        for names, rights in roles.items():
            to = ", ".join(f"teknav_{name}" for name in names.split(", "))
            op.execute(f"GRANT {rights} ON {table} TO {to}")
