"""The first tables, their roles, their row-level security and their months."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0001"
down_revision = None


# Rows of one tenant. The tenant's role sees its own; the platform's role sees all.
TENANT_ROWS = (
    "workspace",
    "api_token",
    "article",
    "ai_task",
    "ai_run",
    "ai_message",
    "idempotency_key",
    "job",
    "job_attempt",
    "job_effect",
    "job_key",
)
# The same, and nobody may change or delete a row.
APPEND_ONLY = ("audit_log", "ai_event_log")
# Out of a tenant's reach.
GLOBAL = (
    "tenant",
    "user",
    "session",
    "owner_link",
    "sign_in_counter",
    "queue",
    "worker",
    "lease",
    "schedule",
)
# What sign-in, the relay, the runner, heartbeats, leases and schedules need, and nothing else.
SYSTEM = {
    "SELECT, INSERT, UPDATE, DELETE": (
        "job",
        "job_attempt",
        "job_key",
        "session",
        "owner_link",
        "sign_in_counter",
        "worker",
        "lease",
        "schedule",
    ),
    "SELECT, INSERT, UPDATE": ("user", "queue"),
    "SELECT, UPDATE": ("api_token",),
    "SELECT, INSERT": ("audit_log",),
    "SELECT": ("tenant",),
}
PARTITIONED = ("audit_log", "job", "job_attempt", "job_effect", "ai_event_log")
MONTHS_AT_FIRST = 3

MAKE_PARTITIONS = """
CREATE FUNCTION teknav_make_partitions(months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    parent text; month timestamptz; name text; made integer := 0;
    low uuid; high uuid;
BEGIN
    FOREACH parent IN ARRAY ARRAY[{tables}] LOOP
        FOR n IN -1 .. months LOOP
            month := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => n);
            name := parent || '_' || to_char(month, 'YYYY_MM');
            CONTINUE WHEN to_regclass('public.' || quote_ident(name)) IS NOT NULL;
            low := teknav_floor_id(month);
            high := teknav_floor_id(month + interval '1 month');
            EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)',
                           name, parent, low, high);
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END $$
"""

FLOOR_ID = """
CREATE FUNCTION teknav_floor_id(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$
"""

SESSION = """
CREATE FUNCTION teknav_session(hash bytea)
RETURNS TABLE (session_id uuid, user_id uuid, email text, role text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH found AS (
        SELECT s.id, s.user_id, u.email, u.role
        FROM public.session s JOIN public."user" u ON u.id = s.user_id
        WHERE s.token_hash = hash AND s.revoked_at IS NULL AND s.expires_at > now() AND u.disabled_at IS NULL
    ), seen AS (
        UPDATE public.session SET last_seen_at = now()
        WHERE id = (SELECT found.id FROM found)
          AND (last_seen_at IS NULL OR last_seen_at < now() - interval '1 minute')
    )
    SELECT id, user_id, email, role FROM found
$$
"""

TOKEN = """
CREATE FUNCTION teknav_token(hash bytea)
RETURNS TABLE (token_id uuid, tenant_id uuid, workspace_id uuid, name text, scopes jsonb)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH found AS (
        SELECT t.id, t.tenant_id, t.workspace_id, t.name, t.scopes
        FROM public.api_token t JOIN public.tenant n ON n.id = t.tenant_id
        WHERE t.token_hash = hash AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
          AND n.status = 'active'
    ), used AS (
        UPDATE public.api_token SET last_used_at = now()
        WHERE id = (SELECT found.id FROM found)
          AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
    )
    SELECT id, tenant_id, workspace_id, name, scopes FROM found
$$
"""


def protect() -> None:
    """Grants stand on parents only: a partition's own name would step around the parent's policies."""
    # To itself: a NOINHERIT login that owns the database has no share in the rights of pg_database_owner.
    op.execute("GRANT USAGE, CREATE ON SCHEMA public TO CURRENT_USER")
    op.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    op.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    op.execute("GRANT SELECT ON alembic_version TO PUBLIC")
    for table in (*TENANT_ROWS, *APPEND_ONLY):
        rights = "SELECT, INSERT" if table in APPEND_ONLY else "SELECT, INSERT, UPDATE, DELETE"
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
            "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
        )
        op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
        op.execute(f"GRANT {rights} ON {table} TO teknav_tenant, teknav_platform")
    for table in GLOBAL:
        op.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON "{table}" TO teknav_platform')
    for rights, tables in SYSTEM.items():
        for table in tables:
            op.execute(f'GRANT {rights} ON "{table}" TO teknav_system')
            if table in (*TENANT_ROWS, *APPEND_ONLY):
                op.execute(f"CREATE POLICY system_rows ON {table} TO teknav_system USING (true)")


def functions() -> None:
    tables = ", ".join(f"'{table}'" for table in PARTITIONED)
    op.execute(FLOOR_ID)
    op.execute(MAKE_PARTITIONS.format(tables=tables))
    op.execute("REVOKE ALL ON FUNCTION teknav_make_partitions(integer) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION teknav_make_partitions(integer) TO teknav_system")
    op.execute(f"SELECT teknav_make_partitions({MONTHS_AT_FIRST})")
    # Who sent this cookie, or this token? Asked before any role is taken. The argument is the hash of 256 random
    # bits, so calling them with a guess finds nothing, and everybody may.
    op.execute("GRANT CREATE ON SCHEMA public TO teknav_system")
    for body, name in ((SESSION, "teknav_session(bytea)"), (TOKEN, "teknav_token(bytea)")):
        op.execute(body)
        op.execute(f"ALTER FUNCTION {name} OWNER TO teknav_system")
    op.execute("REVOKE CREATE ON SCHEMA public FROM teknav_system")


def platform_tenant() -> None:
    op.execute(
        "INSERT INTO tenant (id, name, slug, status) "
        "VALUES ('00000000-0000-7000-8000-000000000000', 'Platform', 'platform', 'active')"
    )


def upgrade() -> None:
    tables()
    functions()
    platform_tenant()
    protect()


def tables() -> None:
    op.create_table(
        "ai_event_log",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_ai_event_log")),
        postgresql_partition_by="RANGE (run_id)",
    )
    op.create_index("ix_ai_event_log_id", "ai_event_log", [sa.literal_column("id DESC")], unique=False)
    op.create_index("ix_ai_event_log_tenant", "ai_event_log", ["tenant_id", sa.literal_column("id DESC")], unique=False)
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor_label", sa.String(), nullable=False),
        sa.Column("impersonator_id", sa.Uuid(), nullable=True),
        sa.Column("token_id", sa.Uuid(), nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("correlation_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("resource_type", sa.String(), nullable=True),
        sa.Column("resource_id", sa.String(), nullable=True),
        sa.Column("resource_label", sa.String(), nullable=True),
        sa.Column("before", postgresql.JSONB(), nullable=True),
        sa.Column("after", postgresql.JSONB(), nullable=True),
        sa.Column("changed_fields", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("outcome", sa.String(), server_default="success", nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("ip", sa.String(), nullable=True),
        sa.Column("user_agent", sa.String(), nullable=True),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index("ix_audit_log_action", "audit_log", ["action", sa.literal_column("id DESC")], unique=False)
    op.create_index("ix_audit_log_actor", "audit_log", ["actor_id", sa.literal_column("id DESC")], unique=False)
    op.create_index(
        "ix_audit_log_resource",
        "audit_log",
        ["resource_type", "resource_id", sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index("ix_audit_log_tenant", "audit_log", ["tenant_id", sa.literal_column("id DESC")], unique=False)
    op.create_table(
        "idempotency_key",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("location", sa.String(), nullable=True),
        sa.Column("media_type", sa.String(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "caller", "route", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("state", sa.String(), server_default="pending", nullable=False),
        sa.Column("delayed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("attempts_made", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("run", sa.Integer(), server_default="0", nullable=False),
        sa.Column("correlation_id", sa.Uuid(), nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("error_class", sa.String(), nullable=True),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("error_fingerprint", sa.String(), nullable=True),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.Column("worker", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index("ix_job_queue_state", "job", ["queue", "state", sa.literal_column("id DESC")], unique=False)
    op.create_index(
        "ix_job_state", "job", ["state", "run_at"], unique=False, postgresql_where=sa.text("finished_at IS NULL")
    )
    op.create_index("ix_job_tenant_state", "job", ["tenant_id", "state", sa.literal_column("id DESC")], unique=False)
    op.create_table(
        "job_attempt",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("worker", sa.Uuid(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_class", sa.String(), nullable=True),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("stack", sa.String(), nullable=True),
        sa.Column("log", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "run", "n", name=op.f("pk_job_attempt")),
        postgresql_partition_by="RANGE (job_id)",
    )
    op.create_table(
        "job_effect",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "step", name=op.f("pk_job_effect")),
        postgresql_partition_by="RANGE (job_id)",
    )
    op.create_table(
        "job_key",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("kept", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "queue", "key", name=op.f("pk_job_key")),
    )
    op.create_index(op.f("ix_job_key_job_id"), "job_key", ["job_id"], unique=False)
    op.create_table(
        "lease",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "owner_link",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_owner_link")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_owner_link_token_hash")),
    )
    op.create_table(
        "queue",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused_by", sa.String(), nullable=True),
        sa.Column("paused_reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_queue")),
    )
    op.create_table(
        "schedule",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedule")),
    )
    op.create_table(
        "sign_in_counter",
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("address", "account", name=op.f("pk_sign_in_counter")),
    )
    op.create_index(op.f("ix_sign_in_counter_until"), "sign_in_counter", ["until"], unique=False)
    op.create_table(
        "tenant",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("status", sa.String(), server_default="active", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenant")),
        sa.UniqueConstraint("slug", name=op.f("uq_tenant_slug")),
    )
    op.create_table(
        "user",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("role", sa.String(), server_default="user", nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("email", name=op.f("uq_user_email")),
    )
    op.create_table(
        "worker",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("queues", postgresql.JSONB(), nullable=False),
        sa.Column("jobs", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker")),
    )
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ip", sa.String(), nullable=True),
        sa.Column("user_agent", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_session_user_id_user"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_session_token_hash")),
    )
    op.create_index(op.f("ix_session_expires_at"), "session", ["expires_at"], unique=False)
    op.create_index(op.f("ix_session_user_id"), "session", ["user_id"], unique=False)
    op.create_table(
        "workspace",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_workspace_tenant_id_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspace")),
        sa.UniqueConstraint("tenant_id", "id", name="uq_workspace_id"),
        sa.UniqueConstraint("tenant_id", "slug", name="uq_workspace_slug"),
    )
    op.create_table(
        "api_token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "workspace_id"],
            ["workspace.tenant_id", "workspace.id"],
            name=op.f("fk_api_token_tenant_id_workspace"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_api_token_tenant_id_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_token_token_hash")),
    )
    op.create_index("ix_api_token_tenant", "api_token", ["tenant_id", "id"], unique=False)
    op.create_table(
        "article",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=True),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("body_markdown", sa.Text(), nullable=False),
        sa.Column("body_html", sa.Text(), nullable=False),
        sa.Column("excerpt", sa.String(), server_default="", nullable=False),
        sa.Column("language", sa.String(), server_default="en", nullable=False),
        sa.Column("status", sa.String(), server_default="draft", nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("summary_keywords", postgresql.JSONB(), nullable=True),
        sa.Column("summary_provider", sa.String(), nullable=True),
        sa.Column("summary_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("status IN ('draft', 'published')", name=op.f("ck_article_status")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "workspace_id"],
            ["workspace.tenant_id", "workspace.id"],
            name=op.f("fk_article_tenant_id_workspace"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_article_tenant_id_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_article")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_article_tenant_id")),
    )
    op.create_index(
        "ix_article_list",
        "article",
        ["tenant_id", sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_article_status",
        "article",
        ["tenant_id", "status", sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index("ix_article_workspace", "article", ["tenant_id", "workspace_id"], unique=False)
    op.create_index(
        "uq_article_slug", "article", ["tenant_id", "slug"], unique=True, postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.create_table(
        "ai_task",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), server_default="queued", nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("correlation_id", sa.Uuid(), nullable=True),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("status IN ('queued', 'running', 'completed', 'failed')", name=op.f("ck_ai_task_status")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "article_id"], ["article.tenant_id", "article.id"], name=op.f("fk_ai_task_tenant_id_article")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ai_task")),
        sa.UniqueConstraint("job_id", name=op.f("uq_ai_task_job_id")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_ai_task_tenant_id")),
    )
    op.create_index(
        "ix_ai_task_article", "ai_task", ["tenant_id", "article_id", sa.literal_column("id DESC")], unique=False
    )
    op.create_index("ix_ai_task_status", "ai_task", ["tenant_id", "status", sa.literal_column("id DESC")], unique=False)
    op.create_table(
        "ai_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("status", sa.String(), server_default="running", nullable=False),
        sa.Column("usage", postgresql.JSONB(), nullable=True),
        sa.Column("cost", sa.Numeric(precision=18, scale=12), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("status IN ('running', 'completed', 'failed')", name=op.f("ck_ai_run_status")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "task_id"], ["ai_task.tenant_id", "ai_task.id"], name=op.f("fk_ai_run_tenant_id_ai_task")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ai_run")),
        sa.UniqueConstraint("task_id", "attempt", name=op.f("uq_ai_run_task_id")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_ai_run_tenant_id")),
    )
    op.create_index("ix_ai_run_status", "ai_run", ["tenant_id", "status", sa.literal_column("id DESC")], unique=False)
    op.create_index(
        "uq_ai_run_open", "ai_run", ["task_id"], unique=True, postgresql_where=sa.text("finished_at IS NULL")
    )
    op.create_table(
        "ai_message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.SmallInteger(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("parts", postgresql.JSONB(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "run_id"], ["ai_run.tenant_id", "ai_run.id"], name=op.f("fk_ai_message_tenant_id_ai_run")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ai_message")),
        sa.UniqueConstraint("run_id", "seq", name=op.f("uq_ai_message_run_id")),
    )
