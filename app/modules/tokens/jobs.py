"""What the credentials of programs leave to do in the background."""

from app.queues.job import Job


class PurgeCredentials(Job, kind="purge_credentials", queue="platform:tasks"):
    """Delete tokens and clients that were revoked or have expired long ago."""
