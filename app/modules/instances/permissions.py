"""What may be done with workflows that run."""

from app.core.policy import Permission

READ = Permission("instances:read", "See what workflows have run", tenant=True, roles=("editor", "author", "operator"))
MANAGE = Permission("instances:manage", "Run, pause, cancel and retry workflows", tenant=True, roles=("editor",))
ALL = (READ, MANAGE)
