"""What may be done with articles."""

from app.core.policy import Permission

READ = Permission("articles:read", "Read articles", tenant=True)
WRITE = Permission("articles:write", "Write and delete articles", tenant=True)
PUBLISH = Permission("articles:publish", "Publish and unpublish articles", tenant=True)

ALL = (READ, WRITE, PUBLISH)
