"""What isolation does in the background."""

from uuid import UUID

from app.queues.job import Job


class TryIsolation(Job, kind="try_isolation", queue="platform:tasks"):
    """Try everything that a tenant must not be able to do, and keep what came of it."""

    run_id: UUID
