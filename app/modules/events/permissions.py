"""What may be done with readers' events."""

from app.core.policy import Permission

WRITE = Permission("events:write", "Send events of readers", tenant=True)
READ = Permission("events:read", "Read single events of readers", tenant=True, roles=("editor", "operator"))
ALL = (WRITE, READ)
