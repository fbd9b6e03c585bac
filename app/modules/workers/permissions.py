"""What may be done with worker processes."""

from app.core.policy import Permission

READ = Permission("workers:read", "See worker processes and what they have in hand")
MANAGE = Permission("workers:manage", "Quiet, resume and stop worker processes")

ALL = (READ, MANAGE)
