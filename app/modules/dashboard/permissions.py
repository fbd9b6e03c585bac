"""Who may see the overview."""

from app.core.policy import Permission

STANDING = Permission("overview:read", "See how the platform's parts fare")
READ = Permission(
    "dashboard:read", "See the overview", roles=("editor", "author", "viewer", "operator"), workspace=True
)
