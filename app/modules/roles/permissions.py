"""What may be done with a tenant's roles."""

from app.core.policy import Permission
from app.core.roles import OWNERS_ONLY

READ = Permission("roles:read", "See roles and what they may do", roles=())
WRITE = Permission("roles:write", "Make, change and delete roles", roles=(OWNERS_ONLY,))
ALL = (READ, WRITE)
