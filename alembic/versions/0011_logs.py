"""Who read what; what the audit log is searched by; saved views."""

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
