"""What may be done with tenants."""

from app.core.policy import Permission

READ = Permission("tenants:read", "See tenants and their workspaces")
WRITE = Permission("tenants:write", "Create and change tenants and workspaces")
OWN = Permission("workspaces:read", "See the tenant's workspaces, and how much it may use", roles=("operator",))
ALL = (OWN, READ, WRITE)
