"""Who may see the overview."""

from app.core.policy import Permission

READ = Permission(
    "dashboard:read", "See the overview", roles=("editor", "author", "viewer", "operator"), workspace=True
)
