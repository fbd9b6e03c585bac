"""What may be done with the cache."""

from app.core.policy import Permission

READ = Permission("cache:read", "See what is cached, and how Redis fares")
MANAGE = Permission("cache:manage", "Drop cached values")

ALL = (READ, MANAGE)
