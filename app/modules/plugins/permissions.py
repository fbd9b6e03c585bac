"""What may be done with plugins."""

from app.core.policy import Permission

READ = Permission(
    "plugins:read", "See plugins and what was delivered to them", tenant=True, roles=("editor", "operator")
)
MANAGE = Permission(
    "plugins:manage", "Install, set up and switch plugins, deliver again", tenant=True, roles=("operator",)
)

ALL = (READ, MANAGE)
