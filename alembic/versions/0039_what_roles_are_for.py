"""Built-in roles of tenants that were there before roles say for whom they are, as those of new tenants do."""

from alembic import op

revision = "0039"
down_revision = "0041"

FILL = """
UPDATE role SET about = told.about FROM (VALUES
    ('owner', 'Everything, also what the roles are'),
    ('admin', 'Everything but to change the roles'),
    ('editor', 'Writes and publishes, and asks AI'),
    ('author', 'Writes, and asks AI; others publish'),
    ('viewer', 'Reads articles and what AI made of them'),
    ('auditor', 'Reads everything, also who did what'),
    ('operator', 'Looks after programs and their tokens')
) told (built_in, about) WHERE role.built_in = told.built_in AND role.about = ''
"""


def upgrade() -> None:
    # FORCE hides the rows from the tables' own login.
    op.execute("SET LOCAL ROLE teknav_platform")
    op.execute(FILL)
    op.execute("RESET ROLE")
