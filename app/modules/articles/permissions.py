"""What may be done with articles."""

from app.core.policy import Permission

READ = Permission(
    "articles:read", "Read articles", tenant=True, roles=("editor", "author", "viewer", "operator"), workspace=True
)
WRITE = Permission(
    "articles:write",
    "Write articles, and delete what readers do not see",
    tenant=True,
    roles=("editor", "author"),
    workspace=True,
)
PUBLISH = Permission(
    "articles:publish", "Publish, unpublish and delete what readers see", tenant=True, roles=("editor",), workspace=True
)

ALL = (READ, WRITE, PUBLISH)
