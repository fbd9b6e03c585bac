"""What may be done with exports. Whoever exports a list also needs the permission to read it."""

from app.core.policy import Permission

READ = Permission("exports:read", "See exports, and fetch the files of lists one may read", roles=())
WRITE = Permission("exports:write", "Export lists, and remove exports", roles=())
ALL = (READ, WRITE)
