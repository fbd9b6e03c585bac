"""A job remembers its key, so that a replay can take it again."""

import sqlalchemy as sa

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("job", sa.Column("key", sa.String(), nullable=True))
    # FORCE hides the rows from the tables' own login.
    op.execute("SET LOCAL ROLE teknav_platform")
    op.execute("UPDATE job SET key = job_key.key FROM job_key WHERE job_key.job_id = job.id")
    op.execute("RESET ROLE")
