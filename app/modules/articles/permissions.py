"""What may be done with articles."""

from app.core.policy import Permission

READ = Permission(
    "articles:read", "Read articles", tenant=True, roles=("editor", "author", "viewer", "operator"), workspace=True
)
WRITE = Permission(
    "articles:write", "Write and delete articles", tenant=True, roles=("editor", "author"), workspace=True
)
PUBLISH = Permission(
    "articles:publish", "Publish and unpublish articles", tenant=True, roles=("editor",), workspace=True
)

ALL = (READ, WRITE, PUBLISH)
