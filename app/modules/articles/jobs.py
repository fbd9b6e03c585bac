"""What articles do in the background."""

from uuid import UUID

from app.modules.articles.models import Treatment
from app.queues.job import Job


class TreatArticles(Job, kind="treat_articles", queue="platform:tasks"):
    """Do one thing with many articles, for whoever asked."""

    treatment: Treatment
    ids: list[UUID]
    asked_by: str
