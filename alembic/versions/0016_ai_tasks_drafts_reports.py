"""AI's other kinds of tasks: what they take, proposals that people decide on, reports, templates of what AI is told."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op

revision = "0016"
down_revision = "0021"

TABLES = ("ai_draft", "quality_report")
STATUSES = "status IN ('queued', 'running', 'completed', 'failed', 'cancelled')"


def upgrade() -> None:
    tasks()
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
    # Of the platform alone; a worker reads it as the system, whoever's task it runs.
    op.execute("GRANT SELECT, INSERT, UPDATE ON ai_template TO teknav_platform")
    op.execute("GRANT SELECT ON ai_template TO teknav_system")


def tasks() -> None:
    op.add_column("ai_task", sa.Column("input", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False))
    op.add_column("ai_task", sa.Column("idempotency_key", sa.String(), nullable=True))
    op.add_column("ai_task", sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True))
    op.create_unique_constraint("uq_ai_task_idempotency_key", "ai_task", ["tenant_id", "idempotency_key"])
    op.create_index("ix_ai_task_kind", "ai_task", ["tenant_id", "kind", sa.literal_column("id DESC")])
    op.drop_constraint(op.f("ck_ai_task_status"), "ai_task")
    op.create_check_constraint(op.f("ck_ai_task_status"), "ai_task", STATUSES)
    op.add_column("ai_run", sa.Column("template_version", sa.Integer(), nullable=True))


def times() -> list[sa.Column[object]]:
    now = sa.text("now()")
    return [
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
    ]


def of_article() -> list[sa.Column[object]]:
    names = ("id", "tenant_id", "article_id", "task_id", "run_id")
    return [
        *(sa.Column(name, sa.Uuid(), nullable=False) for name in names),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("kind", "provider")),
    ]


def keys(table: str) -> list[sa.Constraint]:
    return [
        sa.ForeignKeyConstraint(
            ["tenant_id", f"{other}_id"],
            [f"{target}.tenant_id", f"{target}.id"],
            name=op.f(f"fk_{table}_tenant_id_{target}"),
        )
        for other, target in (("article", "article"), ("task", "ai_task"))
    ] + [
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f(f"uq_{table}_tenant_id")),
    ]


def tables() -> None:
    op.create_table(
        "ai_draft",
        *of_article(),
        sa.Column("base_version", sa.Integer(), nullable=False),
        sa.Column("before", JSONB(), nullable=False),
        sa.Column("patch", JSONB(), nullable=False),
        sa.Column("note", sa.String(), server_default="", nullable=False),
        sa.Column("status", sa.String(), server_default="proposed", nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        *times(),
        *keys("ai_draft"),
        sa.CheckConstraint("status IN ('proposed', 'accepted', 'rejected')", name=op.f("ck_ai_draft_status")),
    )
    op.create_table(
        "quality_report",
        *of_article(),
        sa.Column("article_version", sa.Integer(), nullable=False),
        sa.Column("score", sa.SmallInteger(), nullable=False),
        sa.Column("findings", JSONB(), nullable=False),
        sa.Column("measures", JSONB(), nullable=False),
        *times(),
        *keys("quality_report"),
        sa.CheckConstraint("kind IN ('quality', 'seo')", name=op.f("ck_quality_report_kind")),
        sa.CheckConstraint("score BETWEEN 0 AND 100", name=op.f("ck_quality_report_score")),
    )
    newest = sa.literal_column("id DESC")
    for table in TABLES:
        op.create_index(f"ix_{table}_article", table, ["tenant_id", "article_id", newest])
        op.create_index(f"ix_{table}_task", table, ["tenant_id", "task_id"])
    op.create_index("ix_ai_draft_status", "ai_draft", ["tenant_id", "status", newest])
    op.create_table(
        "ai_template",
        sa.Column("id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("name", "text", "message", "created_by")),
        sa.Column("number", sa.Integer(), nullable=False),
        *(sa.Column(name, JSONB(), nullable=False) for name in ("config", "variables", "labels")),
        *times()[:2],
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ai_template")),
        sa.UniqueConstraint("name", "number", name="uq_ai_template_name"),
    )
