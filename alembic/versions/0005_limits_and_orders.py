"""Limits that people set, commands to worker processes and what these tell of themselves, who cancelled a job."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("queue", sa.Column("limits", postgresql.JSONB(), nullable=True))
    op.add_column("job", sa.Column("cancel_requested_by", sa.String(), nullable=True))
    for column in (
        sa.Column("state", sa.String(), server_default="running", nullable=False),
        sa.Column("command", sa.String(), nullable=True),
        sa.Column("in_hand", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("leads", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("lag_ms", sa.Float(), nullable=True),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=True),
    ):
        op.add_column("worker", column)
