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


SESSION = """
CREATE FUNCTION teknav_session(hash bytea)
RETURNS TABLE (session_id uuid, user_id uuid, email text, role text, confirmed_at timestamptz)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH found AS (
        SELECT s.id, s.user_id, u.email, u.role, s.confirmed_at
        FROM public.session s JOIN public."user" u ON u.id = s.user_id
        WHERE s.token_hash = hash AND s.revoked_at IS NULL AND s.expires_at > now() AND u.disabled_at IS NULL
    ), seen AS (
        UPDATE public.session SET last_seen_at = now()
        WHERE id = (SELECT found.id FROM found)
          AND (last_seen_at IS NULL OR last_seen_at < now() - interval '1 minute')
    )
    SELECT id, user_id, email, role, confirmed_at FROM found
$$
"""
# Out of a tenant's reach: what each role may do with the new tables.
RIGHTS = {
    "user_profile": "SELECT, INSERT, UPDATE",
    "user_consent": "SELECT, INSERT",
    "user_device": "SELECT, INSERT, UPDATE, DELETE",
    "otp_code": "SELECT, INSERT, UPDATE, DELETE",
    "totp": "SELECT, INSERT, UPDATE, DELETE",
    "recovery_code": "SELECT, INSERT, UPDATE, DELETE",
}


def times() -> list[sa.Column[object]]:
    now = sa.text("now()")
    return [
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
    ]


def of_user(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_user_id_user")
    return sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=name, ondelete="CASCADE")


def people() -> None:
    op.add_column("user", sa.Column("phone", sa.String(), nullable=True))
    op.add_column("user", sa.Column("disabled_reason", sa.String(), nullable=True))
    op.add_column("user", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    op.alter_column("user", "password_hash", nullable=True)
    op.create_index(op.f("ix_user_role"), "user", ["role"], unique=False)
    op.create_table(
        "user_profile",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("timezone", sa.String(), server_default="UTC", nullable=False),
        sa.Column("about", sa.String(), server_default="", nullable=False),
        of_user("user_profile"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_user_profile")),
    )
    op.create_table(
        "user_consent",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("text_version", sa.Integer(), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("ip", sa.String(), nullable=True),
        *times(),
        of_user("user_consent"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_consent")),
    )
    op.create_index("ix_user_consent_newest", "user_consent", ["user_id", "purpose", "id"], unique=False)
    op.create_table(
        "user_device",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("ip", sa.String(), nullable=True),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        *times(),
        of_user("user_device"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_device")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_user_device_token_hash")),
    )
    op.create_index(op.f("ix_user_device_user_id"), "user_device", ["user_id"], unique=False)
    op.add_column("session", sa.Column("device_id", sa.Uuid(), nullable=True))
    op.add_column("session", sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_foreign_key(
        op.f("fk_session_device_id_user_device"), "session", "user_device", ["device_id"], ["id"], ondelete="SET NULL"
    )


def factors() -> None:
    op.create_table(
        "otp_code",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("consumed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ip", sa.String(), nullable=True),
        *times(),
        of_user("otp_code"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_otp_code")),
    )
    op.create_index("ix_otp_code_email", "otp_code", ["email", "id"], unique=False)
    op.create_index("ix_otp_code_ip", "otp_code", ["ip", "id"], unique=False)
    op.create_index(op.f("ix_otp_code_expires_at"), "otp_code", ["expires_at"], unique=False)
    op.create_table(
        "totp",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_step", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failures_until", sa.DateTime(timezone=True), nullable=True),
        of_user("totp"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_totp")),
    )
    op.create_table(
        "recovery_code",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        *times(),
        of_user("recovery_code"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_code")),
    )
    op.create_index(op.f("ix_recovery_code_user_id"), "recovery_code", ["user_id"], unique=False)


def protect() -> None:
    for table, rights in RIGHTS.items():
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO teknav_platform")
        op.execute(f"GRANT {rights} ON {table} TO teknav_system")
    op.execute("GRANT CREATE ON SCHEMA public TO teknav_system")
    op.execute("DROP FUNCTION teknav_session(bytea)")
    op.execute(SESSION)
    op.execute("ALTER FUNCTION teknav_session(bytea) OWNER TO teknav_system")
    op.execute("REVOKE CREATE ON SCHEMA public FROM teknav_system")


def upgrade() -> None:
    email_log()
    people()
    factors()
    protect()
