"""What may be done with queues and jobs."""

from app.core.policy import Permission

READ = Permission("queues:read", "See queues, jobs and dead letters")
MANAGE = Permission("queues:manage", "Pause and resume queues; retry, cancel, replay, edit and remove jobs")

ALL = (READ, MANAGE)
