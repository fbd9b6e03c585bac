"""What releases do in the background."""

from uuid import UUID

from app.queues.job import Job


class ReleaseArticle(Job, kind="release_article", queue="platform:tasks"):
    """Do what a release says, now that its moment has come."""

    release_id: UUID
