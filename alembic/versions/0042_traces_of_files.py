"""Files and imports can be found by the id of their chain of cause and effect."""

import sqlalchemy as sa

from alembic import op

revision = "0042"
down_revision = "0040"


def upgrade() -> None:
    for table in ("file", "import_run"):
        op.add_column(table, sa.Column("correlation_id", sa.Uuid(), nullable=True))
        op.create_index(f"ix_{table}_correlation", table, ["correlation_id"])


def downgrade() -> None:
    for table in ("file", "import_run"):
        op.drop_index(f"ix_{table}_correlation", table)
        op.drop_column(table, "correlation_id")
