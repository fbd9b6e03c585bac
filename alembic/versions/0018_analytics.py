"""Analytics: events by month, what is counted of them, funnels; and the time zone of a tenant's site."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0018"
down_revision = "0035"

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")
MONTHS_AT_FIRST = 3
# By the month of their UUIDv7, and by that of their day.
BY_ID = ("audit_log", "job", "job_attempt", "job_effect", "ai_event_log", "data_access_log")
BY_DAY = ("analytics_event",)
LOGS = ("audit_log", "data_access_log", "analytics_event")

MAKE_PARTITIONS = f"""
CREATE OR REPLACE FUNCTION teknav_make_partitions(months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    by_id text[] := ARRAY[{", ".join(f"'{table}'" for table in BY_ID)}];
    by_day text[] := ARRAY[{", ".join(f"'{table}'" for table in BY_DAY)}];
    parent text; month timestamptz; next timestamptz; name text; made integer := 0;
    low text; high text;
BEGIN
    FOREACH parent IN ARRAY by_id || by_day LOOP
        FOR n IN -1 .. months LOOP
            month := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => n);
            next := month + interval '1 month';
            name := parent || '_' || to_char(month, 'YYYY_MM');
            CONTINUE WHEN to_regclass('public.' || quote_ident(name)) IS NOT NULL;
            IF parent = ANY(by_day) THEN
                low := month::date::text; high := next::date::text;
            ELSE
                low := teknav_floor_id(month)::text; high := teknav_floor_id(next)::text;
            END IF;
            EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)',
                           name, parent, low, high);
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END $$
"""

DROP_LOG_MONTH = f"""
CREATE OR REPLACE FUNCTION teknav_drop_log_month(parent text, month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '1s' AS $$
DECLARE name text := parent || '_' || to_char(month, 'YYYY_MM'); held boolean;
BEGIN
    IF parent NOT IN ({", ".join(f"'{table}'" for table in LOGS)}) THEN
        RAISE EXCEPTION 'months of % are not dropped here', parent;
    END IF;
    IF date_trunc('month', month) >= date_trunc('month', now()) - interval '1 month' THEN
        RAISE EXCEPTION 'the month % is too young to be dropped', to_char(month, 'YYYY_MM');
    END IF;
    IF to_regclass('public.' || quote_ident(name)) IS NULL THEN RETURN false; END IF;
    EXECUTE format('LOCK TABLE ONLY public.%I IN ACCESS EXCLUSIVE MODE', parent);
    IF parent = 'audit_log' THEN
        -- What is not sealed yet would leave without ever having been in the chain.
        EXECUTE format('SELECT EXISTS (SELECT FROM audit_unsealed u JOIN public.%I a ON a.id = u.id)', name) INTO held;
        IF held THEN RETURN false; END IF;
    END IF;
    EXECUTE format('DROP TABLE public.%I', name);
    RETURN true;
END $$
"""

# Tenants are out of a tenant's reach; of its own row it is told this one thing.
TIMEZONE = """
CREATE FUNCTION teknav_timezone() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT timezone FROM public.tenant WHERE id = NULLIF(current_setting('app.tenant_id', true), '')::uuid
$$
"""


def upgrade() -> None:
    op.add_column("tenant", sa.Column("timezone", sa.String(), server_default="UTC", nullable=False))
    events()
    counts()
    funnels()
    op.execute(MAKE_PARTITIONS)
    op.execute(f"SELECT teknav_make_partitions({MONTHS_AT_FIRST})")
    op.execute(DROP_LOG_MONTH)
    op.execute("GRANT CREATE ON SCHEMA public TO teknav_system")
    op.execute(TIMEZONE)
    op.execute("ALTER FUNCTION teknav_timezone() OWNER TO teknav_system")
    op.execute("REVOKE CREATE ON SCHEMA public FROM teknav_system")


def column(name: str, kind: type[sa.types.TypeEngine[object]] | sa.types.TypeEngine[object]) -> sa.Column[object]:
    return sa.Column(name, kind, nullable=False)


def texts(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.String(), nullable=True) for name in names]


def of_tenant(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f(f"fk_{table}_tenant_id_tenant"))


def events() -> None:
    op.create_table(
        "analytics_event",
        column("tenant_id", sa.Uuid()),
        column("day", sa.Date()),
        column("event_id", sa.Uuid()),
        column("id", sa.Uuid()),
        column("ts", MOMENT),
        column("received_at", MOMENT),
        column("name", sa.String()),
        *texts("path"),
        sa.Column("article_id", sa.Uuid(), nullable=True),
        *texts("referrer", "utm_source", "utm_medium", "utm_campaign", "country", "device", "user_id"),
        sa.Column("visitor", sa.LargeBinary(), nullable=True),
        sa.Column("visit", sa.LargeBinary(), nullable=True),
        column("is_bot", sa.Boolean()),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("props", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.CheckConstraint("day = (ts AT TIME ZONE 'UTC')::date", name=op.f("ck_analytics_event_day")),
        sa.PrimaryKeyConstraint("tenant_id", "day", "event_id", name=op.f("pk_analytics_event")),
        postgresql_partition_by="RANGE (day)",
    )
    newest = [sa.literal_column("ts DESC"), sa.literal_column("id DESC")]
    op.create_index("ix_analytics_event_tenant", "analytics_event", ["tenant_id", *newest])
    op.create_index("ix_analytics_event_ts", "analytics_event", newest)
    protect("analytics_event", "SELECT, INSERT")
    op.create_table(
        "analytics_salt",
        column("tenant_id", sa.Uuid()),
        column("day", sa.Date()),
        column("salt", sa.LargeBinary()),
        of_tenant("analytics_salt"),
        sa.PrimaryKeyConstraint("tenant_id", "day", name=op.f("pk_analytics_salt")),
    )
    protect("analytics_salt", "SELECT, INSERT")
    op.create_table(
        "analytics_mark",
        column("id", sa.Uuid()),
        column("tenant_id", sa.Uuid()),
        column("grain", sa.String()),
        column("moment", MOMENT),
        sa.CheckConstraint("grain IN ('hour', 'day')", name=op.f("ck_analytics_mark_grain")),
        of_tenant("analytics_mark"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_analytics_mark")),
    )
    op.create_index("ix_analytics_mark_next", "analytics_mark", ["grain", "id"])
    op.create_index("ix_analytics_mark_bucket", "analytics_mark", ["tenant_id", "grain", "moment"])
    protect("analytics_mark", "SELECT, INSERT")


def counts() -> None:
    op.create_table(
        "analytics_aggregate",
        column("tenant_id", sa.Uuid()),
        column("metric", sa.String()),
        column("grain", sa.String()),
        column("bucket_utc", MOMENT),
        column("dims_hash", sa.LargeBinary()),
        column("dims", postgresql.JSONB()),
        column("value", sa.Integer()),
        column("site_day", sa.Date()),
        sa.Column("counted_at", MOMENT, server_default=NOW, nullable=False),
        sa.CheckConstraint("grain IN ('hour', 'day')", name=op.f("ck_analytics_aggregate_grain")),
        of_tenant("analytics_aggregate"),
        sa.PrimaryKeyConstraint(
            "tenant_id", "metric", "grain", "bucket_utc", "dims_hash", name=op.f("pk_analytics_aggregate")
        ),
    )
    op.create_index("ix_analytics_aggregate_day", "analytics_aggregate", ["metric", "grain", "site_day"])
    op.create_table(
        "article_stats_daily",
        column("tenant_id", sa.Uuid()),
        column("day", sa.Date()),
        column("article_id", sa.Uuid()),
        *(column(name, sa.Integer()) for name in ("views", "visitors", "engaged_s")),
        of_tenant("article_stats_daily"),
        sa.PrimaryKeyConstraint("tenant_id", "day", "article_id", name=op.f("pk_article_stats_daily")),
    )
    op.create_table(
        "user_engagement_daily",
        column("tenant_id", sa.Uuid()),
        column("day", sa.Date()),
        column("user_id", sa.String()),
        *(column(name, sa.Integer()) for name in ("events", "views", "visits", "articles", "engaged_s")),
        column("first_at", MOMENT),
        column("last_at", MOMENT),
        of_tenant("user_engagement_daily"),
        sa.PrimaryKeyConstraint("tenant_id", "day", "user_id", name=op.f("pk_user_engagement_daily")),
    )
    for table in ("analytics_aggregate", "article_stats_daily", "user_engagement_daily"):
        protect(table, "SELECT")


def funnels() -> None:
    op.create_table(
        "funnel",
        column("id", sa.Uuid()),
        column("tenant_id", sa.Uuid()),
        column("name", sa.String()),
        column("steps", postgresql.JSONB()),
        column("window_s", sa.Integer()),
        column("step_order", sa.String()),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("step_order IN ('sequential', 'any')", name=op.f("ck_funnel_step_order")),
        of_tenant("funnel"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_funnel")),
        sa.UniqueConstraint("tenant_id", "id", name="uq_funnel_id"),
    )
    op.create_index("ix_funnel_tenant", "funnel", ["tenant_id", sa.literal_column("id DESC")])
    op.create_index("uq_funnel_name", "funnel", ["tenant_id", sa.literal_column("lower(name)")], unique=True)
    protect("funnel", "SELECT, INSERT, UPDATE, DELETE")
    op.create_table(
        "funnel_day",
        column("tenant_id", sa.Uuid()),
        column("funnel_id", sa.Uuid()),
        column("day", sa.Date()),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        column("people", sa.Integer()),
        sa.Column("median_s", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "funnel_id"],
            ["funnel.tenant_id", "funnel.id"],
            name=op.f("fk_funnel_day_tenant_id_funnel"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "funnel_id", "day", "step", name=op.f("pk_funnel_day")),
    )
    protect("funnel_day", "SELECT")
    op.create_table(
        "funnel_mark",
        column("id", sa.Uuid()),
        column("tenant_id", sa.Uuid()),
        sa.Column("funnel_id", sa.Uuid(), nullable=True),
        column("day", sa.Date()),
        of_tenant("funnel_mark"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_funnel_mark")),
    )
    op.create_index("ix_funnel_mark_tenant", "funnel_mark", ["tenant_id", "day"])
    protect("funnel_mark", "SELECT, INSERT")


def protect(table: str, rights: str) -> None:
    """A tenant sees its own rows, and has `rights` on them; counting is the platform's."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
        "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
    )
    op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
    op.execute(f"GRANT {rights} ON {table} TO teknav_tenant")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO teknav_platform")
