"""What identity does in the background."""

from app.queues.job import Job


class PurgeExpired(Job, kind="purge_expired", queue="platform:tasks"):
    """Delete sessions, links, counters and idempotency keys whose time is over."""
