"""What one request set going can be found by its correlation id."""

from alembic import op

revision = "0021"
down_revision = "0017"


def upgrade() -> None:
    op.create_index("ix_job_correlation", "job", ["correlation_id"])
    op.create_index("ix_ai_task_correlation", "ai_task", ["correlation_id"])


def downgrade() -> None:
    op.drop_index("ix_ai_task_correlation", "ai_task")
    op.drop_index("ix_job_correlation", "job")
