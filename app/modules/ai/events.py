"""What is announced of AI's work."""

from uuid import UUID

from app.core.events import Event


class TaskEnded(Event, frozen=True, topic="ai.task.ended"):
    """A task was completed, has failed or was cancelled: `status` says which. A retry may end it once more."""

    task_id: UUID
    kind: str
    article_id: UUID
    status: str
