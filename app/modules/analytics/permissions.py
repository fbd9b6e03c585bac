"""What may be done with analytics."""

from app.core.policy import Permission

READ = Permission(
    "analytics:read",
    "Read what is counted of readers' events",
    tenant=True,
    roles=("editor", "author", "viewer", "operator"),
)
ALL = (READ,)
