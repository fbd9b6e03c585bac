"""Does with many articles what somebody asked for."""

from uuid import UUID

from app.core.errors import Problem
from app.core.policy import SYSTEM_ACTOR
from app.modules.articles.jobs import TreatArticles
from app.modules.articles.models import Treatment
from app.modules.articles.service import ArticleService
from app.queues.job import processor
from app.queues.work import Work


@processor(TreatArticles, timeout_s=900)
async def treat_articles(work: Work, job: TreatArticles) -> None:
    """Each in a transaction of its own: an attempt that ends early is taken up by the next where it stopped.

    An article that is gone, or whose slug another has, is passed over and named in the job's log.
    """
    for n, id_ in enumerate(job.ids):
        try:
            await _treat(work, job, id_)
        except Problem as problem:
            work.log(f"{id_}: {problem}")
        await work.progress(100 * (n + 1) / len(job.ids), f"{n + 1} of {len(job.ids)} articles")
    async with work.transaction("end") as session:
        if session is not None:
            await work.complete(session, {"articles": len(job.ids)})


async def _treat(work: Work, job: TreatArticles, article_id: UUID) -> None:
    """
    Raises:
        Problem: it cannot be done with this article.
    """
    async with work.transaction(f"{job.treatment}:{article_id}") as session:
        if session is None:
            return
        articles, reason = ArticleService(session, SYSTEM_ACTOR), f"Asked for by {job.asked_by}"
        if job.treatment == Treatment.PUBLISH:
            await articles.publish(article_id, reason=reason)
        elif job.treatment == Treatment.UNPUBLISH:
            await articles.unpublish(article_id, reason=reason)
        else:
            await articles.delete(article_id, reason=reason)
