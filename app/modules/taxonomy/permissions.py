"""What may be done with categories and tags. Whoever may write an article may also put it under them."""

from app.core.policy import Permission

READ = Permission(
    "taxonomy:read", "Read categories and tags", tenant=True, roles=("editor", "author", "viewer", "operator")
)
WRITE = Permission("taxonomy:write", "Create, change, merge and delete them", tenant=True, roles=("editor",))
ALL = (READ, WRITE)
