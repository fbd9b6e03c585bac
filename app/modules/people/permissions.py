"""What may be done with people and their sessions."""

from app.core.policy import Permission

READ = Permission("users:read", "See people and where they are signed in")
WRITE = Permission("users:write", "Create, edit, ban and delete people, and end their sessions")
ALL = (READ, WRITE)
