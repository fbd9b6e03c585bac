"""Mails and releases can be found by the id of their chain of cause and effect."""

from alembic import op

revision = "0041"
down_revision = "0036"


def upgrade() -> None:
    op.create_index("ix_email_log_correlation", "email_log", ["correlation_id"])
    op.create_index("ix_release_correlation", "release", ["correlation_id"])


def downgrade() -> None:
    op.drop_index("ix_release_correlation", "release")
    op.drop_index("ix_email_log_correlation", "email_log")
