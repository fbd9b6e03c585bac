"""What may be done with approvals."""

from app.core.policy import Permission

READ = Permission("approvals:read", "See what waits for approval", tenant=True, roles=("editor", "author", "operator"))
DECIDE = Permission("approvals:decide", "Approve or reject what waits", tenant=True, roles=("editor",))
ALL = (READ, DECIDE)
