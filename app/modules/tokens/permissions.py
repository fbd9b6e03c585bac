"""What may be done with API tokens and API clients."""

from app.core.policy import Permission

READ = Permission("tokens:read", "See API tokens and clients, without their secrets")
WRITE = Permission("tokens:write", "Create, change and revoke API tokens and clients")
ALL = (READ, WRITE)
