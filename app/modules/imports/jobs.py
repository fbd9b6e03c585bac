"""What imports do in the background."""

from uuid import UUID

from app.queues.job import Job


class ImportArticles(Job, kind="import_articles", queue="platform:tasks"):
    """Make drafts of what is in an import's file."""

    import_id: UUID
