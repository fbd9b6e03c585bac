"""An article may wait for review."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.drop_constraint(op.f("ck_article_status"), "article")
    op.create_check_constraint(op.f("ck_article_status"), "article", "status IN ('draft', 'review', 'published')")
