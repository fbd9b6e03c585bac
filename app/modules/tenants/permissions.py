"""What may be done with tenants."""

from app.core.policy import Permission

READ = Permission("tenants:read", "See tenants and their workspaces")
WRITE = Permission("tenants:write", "Create and change tenants and workspaces")
ALL = (READ, WRITE)
