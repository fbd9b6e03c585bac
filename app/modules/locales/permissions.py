"""What may be done with a tenant's languages and the texts of its interface."""

from app.core.policy import Permission

READ = Permission(
    "locales:read",
    "Read languages and the texts of the interface",
    tenant=True,
    roles=("editor", "author", "viewer", "operator"),
)
WRITE = Permission("locales:write", "Make, change and delete them", tenant=True, roles=("editor",))
ALL = (READ, WRITE)
