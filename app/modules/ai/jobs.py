"""AI work that runs in a queue."""

from uuid import UUID

from app.queues.job import Job


class SummarizeArticle(Job, kind="summarize_article", queue="ai:content"):
    """Write the summary that a task asks for."""

    task_id: UUID
