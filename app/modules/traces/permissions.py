"""Who may follow a trace. What of it they see is up to each source's own permission."""

from app.core.policy import Permission

READ = Permission("traces:read", "Follow what a request set going")

ALL = (READ,)
