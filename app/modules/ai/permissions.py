"""What may be done with AI."""

from app.core.policy import Permission

RUN = Permission("ai:run", "Ask AI for its work on articles", tenant=True, roles=("editor", "author"))
READ = Permission("ai:read", "Read AI tasks", tenant=True, roles=("editor", "author", "viewer", "operator"))

ALL = (RUN, READ)
