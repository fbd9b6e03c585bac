"""Schedules that people can change, and what each loop of the leading process last did."""

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    for column in (
        sa.Column("queue", sa.String(), server_default="", nullable=False),
        sa.Column("kind", sa.String(), server_default="", nullable=False),
        sa.Column("cron", sa.String(), nullable=True),
        sa.Column("every_s", sa.Integer(), nullable=True),
        sa.Column("timezone", sa.String(), server_default="UTC", nullable=False),
        sa.Column("missed", sa.String(), server_default="once", nullable=False),
        sa.Column("by_hand_at", MOMENT, nullable=True),
        sa.Column("by_hand_job", sa.Uuid(), nullable=True),
        sa.Column("changed_at", MOMENT, nullable=True),
        sa.Column("changed_by", sa.String(), nullable=True),
        sa.Column("paused_at", MOMENT, nullable=True),
        sa.Column("paused_by", sa.String(), nullable=True),
        sa.Column("paused_reason", sa.String(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
    ):
        op.add_column("schedule", column)
    # By bytes, whatever the database's collation: the times in the keys sort as text only so.
    op.create_index(
        "ix_job_key_kept",
        "job_key",
        ["key"],
        postgresql_ops={"key": "text_pattern_ops"},
        postgresql_where=sa.text("kept"),
    )
    op.create_table(
        "loop",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=False),
        sa.Column("every_s", sa.Float(), nullable=False),
        sa.Column("ran_at", MOMENT, nullable=False),
        sa.Column("took_ms", sa.Float(), nullable=False),
        sa.Column("cut_off", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("error_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_loop")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON loop TO teknav_platform, teknav_system")
