"""Mails, and what identity grows by: profiles, devices, one-time codes, second factors, consents."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0012"
down_revision = "0011"


def email_log() -> None:
    op.create_table(
        "email_log",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("template", sa.String(), nullable=False),
        sa.Column("template_version", sa.Integer(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("props", postgresql.JSONB(), nullable=False),
        sa.Column("ticket", postgresql.JSONB(), nullable=True),
        sa.Column("good_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.String(), server_default="queued", nullable=False),
        sa.Column("deduplication_key", sa.String(), nullable=True),
        sa.Column("message_id", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_email_log_tenant_id_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_log")),
        sa.UniqueConstraint("tenant_id", "deduplication_key", name=op.f("uq_email_log_tenant_id")),
    )
    op.create_index("ix_email_log_recipient", "email_log", ["recipient", "id"], unique=False)
    op.execute("ALTER TABLE email_log ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE email_log FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY tenant_rows ON email_log TO teknav_tenant "
        "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
    )
    op.execute("CREATE POLICY platform_rows ON email_log TO teknav_platform USING (true)")
    op.execute("CREATE POLICY system_rows ON email_log TO teknav_system USING (true)")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON email_log TO teknav_tenant, teknav_platform")
    op.execute("GRANT SELECT, INSERT ON email_log TO teknav_system")


def upgrade() -> None:
    email_log()
