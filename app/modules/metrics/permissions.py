"""What monitoring may do."""

from app.core.policy import Permission

READ = Permission("metrics:read", "Read the metrics, for monitoring")

ALL = (READ,)
