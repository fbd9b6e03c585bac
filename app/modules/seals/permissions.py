"""What may be done with the audit log's seals."""

from app.core.policy import Permission

READ = Permission("seals:read", "See how far the audit log is sealed")
VERIFY = Permission("seals:verify", "Have the audit log's seals checked")
ALL = (READ, VERIFY)
