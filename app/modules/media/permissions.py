"""What may be done with files."""

from app.core.policy import Permission

READ = Permission("files:read", "See and fetch files", tenant=True, roles=("editor", "author", "viewer"))
WRITE = Permission("files:write", "Upload and delete files", tenant=True, roles=("editor", "author"))
ALL = (READ, WRITE)
