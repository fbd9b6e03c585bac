"""Flows, cancelling, the trash, edited dead letters, progress, and jobs that other programs put into Redis."""

import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for column in (
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("required", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("children", sa.Integer(), server_default="0", nullable=False),
        sa.Column("progress", sa.SmallInteger(), nullable=True),
        sa.Column("progress_note", sa.String(), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed_from", sa.String(), nullable=True),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("edited_from", sa.Uuid(), nullable=True),
        sa.Column("engine_id", sa.String(), nullable=True),
    ):
        op.add_column("job", column)
    for name, columns, where in (
        ("ix_job_parent", ["parent_id", "finished_at"], "parent_id IS NOT NULL"),
        ("ix_job_dead", ["queue", "error_fingerprint", sa.literal_column("id DESC")], "state = 'dead'"),
        ("ix_job_trash", ["removed_at"], "removed_at IS NOT NULL"),
        ("ix_job_cancel", ["cancel_requested_at"], "cancel_requested_at IS NOT NULL AND finished_at IS NULL"),
        ("ix_job_edited_from", ["edited_from"], "edited_from IS NOT NULL"),
    ):
        op.create_index(name, "job", columns, unique=False, postgresql_where=sa.text(where))
