"""What may be done about seeing a tenant as one of its members does."""

from app.core.policy import Permission
from app.core.roles import IMPERSONATE

READ = Permission("impersonation:read", "See who saw which tenant as whom, and why", roles=())
START = Permission(IMPERSONATE, "See a tenant as one of its members does, to read only")
ALL = (READ, START)
