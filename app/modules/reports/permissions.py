"""What may be done with reports on articles."""

from app.core.policy import Permission

READ = Permission(
    "reports:read", "Read reports on articles", tenant=True, roles=("editor", "author", "viewer", "operator")
)

ALL = (READ,)
