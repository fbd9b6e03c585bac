"""What may be done with workflows' definitions."""

from app.core.policy import Permission

READ = Permission(
    "workflows:read", "See workflows and what they do", tenant=True, roles=("editor", "author", "operator")
)
WRITE = Permission("workflows:write", "Write workflows, which act with all the tenant's rights", tenant=True, roles=())
ALL = (READ, WRITE)
