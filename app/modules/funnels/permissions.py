"""What may be done with funnels."""

from app.core.policy import Permission

READ = Permission(
    "funnels:read", "Read how far readers come", tenant=True, roles=("editor", "author", "viewer", "operator")
)
WRITE = Permission("funnels:write", "Create, change and delete funnels", tenant=True, roles=("editor",))
ALL = (READ, WRITE)
