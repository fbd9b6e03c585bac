"""Who read what; what the audit log is searched by; saved views; exports."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0011"
down_revision = "0010"

NEWEST = sa.literal_column("id DESC")
MOMENT = sa.DateTime(timezone=True)
PARTITIONED = ("audit_log", "job", "job_attempt", "job_effect", "ai_event_log", "data_access_log")
MONTHS_AT_FIRST = 3

MAKE_PARTITIONS = """
CREATE OR REPLACE FUNCTION teknav_make_partitions(months integer) RETURNS integer
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


def upgrade() -> None:
    access_log()
    audit_search()
    saved_views()
    exports()
    op.execute(MAKE_PARTITIONS.format(tables=", ".join(f"'{table}'" for table in PARTITIONED)))
    op.execute(f"SELECT teknav_make_partitions({MONTHS_AT_FIRST})")


def access_log() -> None:
    op.create_table(
        "data_access_log",
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
        sa.Column("resource_type", sa.String(), nullable=False),
        sa.Column("resource_id", sa.String(), nullable=True),
        sa.Column("query", sa.String(), nullable=True),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("fields", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("purpose", sa.String(), nullable=True),
        sa.Column("cached", sa.Boolean(), nullable=False),
        sa.Column("exported", sa.Boolean(), nullable=False),
        sa.Column("ip", sa.String(), nullable=True),
        sa.Column("user_agent", sa.String(), nullable=True),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_access_log")),
        postgresql_partition_by="RANGE (id)",
    )
    for name, columns in (
        ("tenant", ["tenant_id", NEWEST]),
        ("action", ["action", NEWEST]),
        ("resource", ["resource_type", "resource_id", NEWEST]),
        ("actor", ["actor_id", NEWEST]),
        ("actor_label", [sa.literal_column("lower(actor_label) text_pattern_ops"), NEWEST]),
        ("correlation", ["correlation_id"]),
        ("request", ["request_id"]),
    ):
        op.create_index(f"ix_data_access_log_{name}", "data_access_log", columns, unique=False)
    protect("data_access_log", "SELECT, INSERT")


def audit_search() -> None:
    for name, columns in (
        ("label", [sa.literal_column("lower(resource_label) text_pattern_ops"), NEWEST]),
        ("thing", ["resource_id", NEWEST]),
        ("request", ["request_id"]),
        ("correlation", ["correlation_id"]),
    ):
        op.create_index(f"ix_audit_log_{name}", "audit_log", columns, unique=False)


def saved_views() -> None:
    op.create_table(
        "saved_view",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("page", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("query", sa.String(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_view")),
        sa.UniqueConstraint("tenant_id", "owner", "page", "name", name="uq_saved_view_name"),
    )
    protect("saved_view", "SELECT, INSERT, DELETE")


def exports() -> None:
    op.create_table(
        "export",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("list", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("filter", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("byte_count", sa.BigInteger(), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor_label", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("state IN ('queued', 'running', 'completed', 'failed')", name=op.f("ck_export_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_export")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_export_tenant_id")),
    )
    op.create_index("ix_export_list", "export", ["tenant_id", NEWEST], unique=False)
    op.create_index("ix_export_expires", "export", ["expires_at"], unique=False)
    op.create_table(
        "export_chunk",
        sa.Column("export_id", sa.Uuid(), nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "export_id"],
            ["export.tenant_id", "export.id"],
            name=op.f("fk_export_chunk_tenant_id_export"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("export_id", "n", name=op.f("pk_export_chunk")),
    )
    for table in ("export", "export_chunk"):
        protect(table, "SELECT, INSERT, UPDATE, DELETE")
    # A job that dies while its worker is gone is ended by the system, and then its export has failed.
    op.execute("GRANT SELECT, UPDATE ON export TO teknav_system")
    op.execute("CREATE POLICY system_rows ON export TO teknav_system USING (true)")


def protect(table: str, rights: str) -> None:
    """A tenant sees its own rows, the platform all."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
        "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
    )
    op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
    op.execute(f"GRANT {rights} ON {table} TO teknav_tenant, teknav_platform")
