"""Approvals; definitions of workflows, their versions and steps; instances and the tries at their steps."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0020"
down_revision = "0016"

TABLES = (
    "approval",
    "approval_decision",
    "workflow_definition",
    "workflow_version",
    "workflow_step",
    "workflow_instance",
    "workflow_step_execution",
)
# What was published, and what somebody has said, never changes.
FIXED = ("approval_decision", "workflow_version", "workflow_step")


def upgrade() -> None:
    approvals()
    definitions()
    instances()
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_rows ON {table} TO teknav_tenant "
            "USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)"
        )
        op.execute(f"CREATE POLICY platform_rows ON {table} TO teknav_platform USING (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO teknav_tenant, teknav_platform")
    for table in FIXED:
        op.execute(f"REVOKE UPDATE ON {table} FROM teknav_tenant, teknav_platform")
        op.execute(f"REVOKE DELETE ON {table} FROM teknav_tenant")


def ids(*names: str, null: bool = False) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.Uuid(), nullable=null) for name in names]


def texts(*names: str, null: bool = False) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.String(), nullable=null) for name in names]


def long(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Text(), nullable=True)


def moments(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.DateTime(timezone=True), nullable=True) for name in names]


def json(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[object]:
    default_of = sa.text(default) if default else None
    return sa.Column(name, postgresql.JSONB(), server_default=default_of, nullable=null)


def counts(*names: str, default: str | None = None) -> list[sa.Column[object]]:
    default_of = sa.text(default) if default else None
    return [sa.Column(name, sa.Integer(), server_default=default_of, nullable=False) for name in names]


def made() -> sa.Column[object]:
    return sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def times() -> list[sa.Column[object]]:
    return [
        made(),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
    ]


def key(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", column], [f"{other}.tenant_id", f"{other}.id"], name=op.f(f"fk_{table}_tenant_id_{other}")
    )


def of_tenant(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f(f"fk_{table}_tenant_id_tenant"))


def one_of(table: str, column: str, *values: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=op.f(f"ck_{table}_{column}"))


def unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{table}_{columns[0]}"))


def primary(table: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}"))


NEWEST = sa.literal_column("id DESC")


def approvals() -> None:
    op.create_table(
        "approval",
        *ids("id", "tenant_id"),
        *texts("title"),
        sa.Column("note", sa.String(), server_default="", nullable=False),
        *texts("origin", "link", "requested_by"),
        sa.Column("self_approval", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        *counts("needed", default="1"),
        sa.Column("status", sa.String(), server_default="pending", nullable=False),
        *ids("correlation_id", null=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        *moments("decided_at"),
        *times(),
        of_tenant("approval"),
        one_of("approval", "status", "pending", "approved", "rejected", "expired", "cancelled"),
        primary("approval"),
        unique("approval", "tenant_id", "id"),
    )
    op.create_index("ix_approval_status", "approval", ["tenant_id", "status", NEWEST])
    op.create_index("ix_approval_correlation", "approval", ["correlation_id"])
    op.create_table(
        "approval_decision",
        *ids("id", "tenant_id", "approval_id"),
        *texts("decided_by", "label", "decision"),
        sa.Column("comment", sa.String(), server_default="", nullable=False),
        made(),
        key("approval_decision", "approval_id", "approval"),
        one_of("approval_decision", "decision", "approve", "reject"),
        primary("approval_decision"),
        unique("approval_decision", "approval_id", "decided_by"),
    )


def definitions() -> None:
    op.create_table(
        "workflow_definition",
        *ids("id", "tenant_id"),
        *texts("key", "name"),
        json("draft"),
        *ids("active_version_id", null=True),
        *texts("topic", null=True),
        *times(),
        of_tenant("workflow_definition"),
        primary("workflow_definition"),
        sa.UniqueConstraint("tenant_id", "id", name="uq_workflow_definition_id"),
        sa.UniqueConstraint("tenant_id", "key", name="uq_workflow_definition_key"),
    )
    op.create_index(
        "ix_workflow_definition_topic",
        "workflow_definition",
        ["tenant_id", "topic"],
        postgresql_where=sa.text("active_version_id IS NOT NULL"),
    )
    op.create_table(
        "workflow_version",
        *ids("id", "tenant_id", "definition_id"),
        *counts("number"),
        json("graph"),
        *texts("checksum", "published_by"),
        made(),
        key("workflow_version", "definition_id", "workflow_definition"),
        primary("workflow_version"),
        unique("workflow_version", "tenant_id", "id"),
        unique("workflow_version", "definition_id", "number"),
    )
    op.create_table(
        "workflow_step",
        *ids("id", "tenant_id", "version_id"),
        *counts("position"),
        *texts("key", "type"),
        json("config"),
        *texts("next", null=True),
        key("workflow_step", "version_id", "workflow_version"),
        primary("workflow_step"),
        sa.UniqueConstraint("version_id", "key", name="uq_workflow_step_key"),
        sa.UniqueConstraint("version_id", "position", name="uq_workflow_step_position"),
    )


def instances() -> None:
    op.create_table(
        "workflow_instance",
        *ids("id", "tenant_id", "definition_id", "version_id"),
        sa.Column("status", sa.String(), server_default="pending", nullable=False),
        *texts("trigger"),
        json("input"),
        json("steps", default="'{}'::jsonb"),
        sa.Column("subject", sa.String(), server_default="", nullable=False),
        *ids("correlation_id", null=True),
        *texts("concurrency_key", null=True),
        *texts("started_by", "label"),
        *ids("restarted_from", null=True),
        *texts("step"),
        *counts("iteration", "attempt", "first_attempt", default="1"),
        *counts("tries", default="0"),
        *moments("wake_at"),
        *texts("error_code", null=True),
        long("error_message"),
        *moments("finished_at"),
        *times(),
        key("workflow_instance", "definition_id", "workflow_definition"),
        key("workflow_instance", "version_id", "workflow_version"),
        one_of(
            "workflow_instance", "status",
            "pending", "running", "waiting", "paused", "succeeded", "failed", "cancelled",
        ),
        primary("workflow_instance"),
        unique("workflow_instance", "tenant_id", "id"),
    )  # fmt: skip
    table = "workflow_instance"
    op.create_index("ix_workflow_instance_status", table, ["tenant_id", "status", NEWEST])
    op.create_index("ix_workflow_instance_definition", table, ["tenant_id", "definition_id", NEWEST])
    op.create_index("ix_workflow_instance_correlation", table, ["correlation_id"])
    unfinished = sa.text("concurrency_key IS NOT NULL AND finished_at IS NULL")
    op.create_index(
        "ix_workflow_instance_concurrency",
        table,
        ["definition_id", "concurrency_key", "id"],
        postgresql_where=unfinished,
    )
    op.create_index(
        "uq_workflow_instance_fact",
        table,
        ["definition_id", "correlation_id", "subject"],
        unique=True,
        postgresql_where=sa.text("trigger <> 'manual'"),
    )
    op.create_table(
        "workflow_step_execution",
        *ids("id", "tenant_id", "instance_id"),
        *texts("step_key", "type"),
        *counts("iteration", "attempt"),
        *texts("status"),
        json("input"),
        json("output", null=True),
        *texts("waiting_for", null=True),
        *ids("job_id"),
        *texts("error_code", null=True),
        long("error_message"),
        *moments("next_retry_at", "finished_at"),
        *times(),
        key("workflow_step_execution", "instance_id", "workflow_instance"),
        one_of("workflow_step_execution", "status", "waiting", "succeeded", "failed", "cancelled"),
        primary("workflow_step_execution"),
        unique("workflow_step_execution", "instance_id", "step_key", "iteration", "attempt"),
    )
    op.create_index(
        "ix_workflow_step_execution_waiting",
        "workflow_step_execution",
        ["waiting_for"],
        postgresql_where=sa.text("status = 'waiting'"),
    )
