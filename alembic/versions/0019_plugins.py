"""Plugins, how tenants set them up, their deliveries, and every try at one."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0019"
down_revision = "0020"

TABLES = ("plugin", "plugin_config", "plugin_delivery", "plugin_execution_log")
MOMENT = sa.DateTime(timezone=True)
NEWEST = sa.literal_column("id DESC")


def upgrade() -> None:
    tables()
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
            "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
        )
        op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO teknav_tenant, teknav_platform")


def ids(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.Uuid(), nullable=False) for name in names]


def texts(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def moments(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, MOMENT, nullable=True) for name in names]


def times() -> list[sa.Column[object]]:
    now = sa.text("now()")
    return [
        sa.Column("created_at", MOMENT, server_default=now, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=now, nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
    ]


def json(name: str, default: str | None = None) -> sa.Column[object]:
    given = None if default is None else sa.text(f"'{default}'::jsonb")
    return sa.Column(name, postgresql.JSONB(), server_default=given, nullable=False)


def of_plugin(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", "plugin_id"], ["plugin.tenant_id", "plugin.id"], name=op.f(f"fk_{table}_tenant_id_plugin")
    )


def tables() -> None:
    op.create_table(
        "plugin",
        *ids("id", "tenant_id"),
        *texts("key", "name", "release", "endpoint"),
        json("events"),
        sa.Column("description", sa.String(), server_default="", nullable=False),
        json("schema"),
        *texts("installed_by"),
        *moments("removed_at"),
        *times(),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_plugin_tenant_id_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plugin")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_plugin_tenant_id")),
    )
    there = sa.text("removed_at IS NULL")
    op.create_index("uq_plugin_key", "plugin", ["tenant_id", "key"], unique=True, postgresql_where=there)
    op.create_index("ix_plugin_list", "plugin", ["tenant_id", NEWEST], postgresql_where=there)
    op.create_table(
        "plugin_config",
        *ids("id", "tenant_id", "plugin_id"),
        json("settings", "{}"),
        sa.Column("secrets", sa.LargeBinary(), nullable=True),
        json("secret_names", "[]"),
        sa.Column("signing_secret", sa.LargeBinary(), nullable=False),
        sa.Column("next_secret", sa.LargeBinary(), nullable=True),
        *moments("switch_at"),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("disabled_reason", sa.String(), nullable=True),
        *moments("disabled_at"),
        sa.Column("failure_streak", sa.Integer(), server_default="0", nullable=False),
        *times(),
        of_plugin("plugin_config"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plugin_config")),
        sa.UniqueConstraint("tenant_id", "plugin_id", name=op.f("uq_plugin_config_tenant_id")),
    )
    op.create_table(
        "plugin_delivery",
        *ids("id", "tenant_id"),
        sa.Column("plugin_id", sa.Uuid(), nullable=True),
        sa.Column("address", sa.String(), nullable=True),
        *texts("type"),
        json("data"),
        *texts("key"),
        sa.Column("test", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("status", sa.String(), server_default="queued", nullable=False),
        sa.Column("http_code", sa.SmallInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        *ids("job_id"),
        *texts("requested_by"),
        sa.Column("correlation_id", sa.Uuid(), nullable=True),
        *moments("finished_at"),
        *times(),
        sa.CheckConstraint(
            "status IN ('queued', 'delivered', 'failed', 'skipped')", name=op.f("ck_plugin_delivery_status")
        ),
        sa.CheckConstraint("plugin_id IS NULL OR address IS NULL", name=op.f("ck_plugin_delivery_receiver")),
        of_plugin("plugin_delivery"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plugin_delivery")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_plugin_delivery_tenant_id")),
        sa.UniqueConstraint(
            "tenant_id", "plugin_id", "key", name="uq_plugin_delivery_key", postgresql_nulls_not_distinct=True
        ),
    )
    op.create_index("ix_plugin_delivery_list", "plugin_delivery", ["tenant_id", NEWEST])
    op.create_index("ix_plugin_delivery_plugin", "plugin_delivery", ["tenant_id", "plugin_id", NEWEST])
    op.create_index("ix_plugin_delivery_status", "plugin_delivery", ["tenant_id", "status", NEWEST])
    op.create_index("ix_plugin_delivery_job", "plugin_delivery", ["job_id"])
    op.create_index("ix_plugin_delivery_correlation", "plugin_delivery", ["correlation_id"])
    op.create_table(
        "plugin_execution_log",
        *ids("id", "tenant_id", "delivery_id"),
        sa.Column("attempt", sa.Integer(), nullable=False),
        *texts("url"),
        sa.Column("http_code", sa.SmallInteger(), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, server_default=sa.text("clock_timestamp()"), nullable=False),
        *moments("finished_at"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "delivery_id"],
            ["plugin_delivery.tenant_id", "plugin_delivery.id"],
            name=op.f("fk_plugin_execution_log_tenant_id_plugin_delivery"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plugin_execution_log")),
        sa.UniqueConstraint("delivery_id", "attempt", name=op.f("uq_plugin_execution_log_delivery_id")),
    )
