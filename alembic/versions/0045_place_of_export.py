"""How far the file of an export is in the rows that have no id of their own."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op

revision = "0045"
down_revision = "0042"


def upgrade() -> None:
    op.add_column("export", sa.Column("place", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("export", "place")
