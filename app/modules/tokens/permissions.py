"""What may be done with API tokens."""

from app.core.policy import Permission

READ = Permission("tokens:read", "See API tokens, without their secrets", roles=("operator",))
WRITE = Permission("tokens:write", "Create and revoke API tokens", roles=("operator",))
ALL = (READ, WRITE)
