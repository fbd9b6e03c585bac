"""What may be done with imports."""

from app.core.policy import Permission

READ = Permission("imports:read", "See imports, and what became of each article", tenant=True, roles=("editor",))
WRITE = Permission("imports:write", "Import articles from files", tenant=True, roles=("editor",))
ALL = (READ, WRITE)
