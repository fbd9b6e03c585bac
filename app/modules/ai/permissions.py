"""What may be done with AI."""

from app.core.policy import Permission

RUN = Permission("ai:run", "Ask AI for summaries", tenant=True)
READ = Permission("ai:read", "Read AI tasks and their runs", tenant=True)

ALL = (RUN, READ)
