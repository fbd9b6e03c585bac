"""What may be done with the audit log. Nobody may write to it by hand."""

from app.core.policy import Permission

READ = Permission("audit:read", "See who did what", roles=())
ALL = (READ,)
