"""What may be done with the access log. Nobody may write to it by hand."""

from app.core.policy import Permission

READ = Permission("access:read", "See who read what", roles=())
ALL = (READ,)
