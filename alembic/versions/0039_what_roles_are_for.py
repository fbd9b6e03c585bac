"""Older built-in roles say for whom they are, sessions when they were seen last; what is rare in logs is found."""

import sqlalchemy as sa

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
    # What takes long comes first: the locks that readers and every signed-in caller would wait for are held last.
    # What is rare in a log is not looked for among all that is not.
    rare = {"postgresql_where": sa.text("outcome <> 'success'")}
    op.create_index("ix_audit_log_outcome", "audit_log", ["outcome", sa.text("id DESC")], **rare)
    exported = {"postgresql_where": sa.text("exported")}
    op.create_index("ix_data_access_log_exported", "data_access_log", [sa.text("id DESC")], **exported)
    # An action is asked for with all that begin with it, which an index in the order of a language does not find.
    logs = ("audit_log", "data_access_log")
    for table in logs:
        op.execute(f"ALTER INDEX ix_{table}_action RENAME TO ix_{table}_action_before")
        op.create_index(f"ix_{table}_action", table, [sa.text("action text_pattern_ops"), sa.text("id DESC")])
    for table in logs:
        op.drop_index(f"ix_{table}_action_before", table)
    # FORCE hides the rows from the tables' own login.
    op.execute("SET LOCAL ROLE teknav_platform")
    op.execute(FILL)
    op.execute("UPDATE session SET last_seen_at = created_at WHERE last_seen_at IS NULL")
    op.execute("RESET ROLE")
    op.alter_column("session", "last_seen_at", nullable=False, server_default=sa.text("now()"))
