"""What may be done with proposals."""

from app.core.policy import Permission

READ = Permission("drafts:read", "Read what AI proposes", tenant=True, roles=("editor", "author", "viewer", "operator"))
DECIDE = Permission("drafts:decide", "Accept and reject what AI proposes", tenant=True, roles=("editor", "author"))

ALL = (READ, DECIDE)
