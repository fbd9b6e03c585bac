"""What may be done with the members of a tenant."""

from app.core.policy import Permission

READ = Permission("members:read", "See who belongs to the tenant", roles=())
WRITE = Permission("members:write", "Change members' roles and workspaces, and remove them", roles=())
ALL = (READ, WRITE)
