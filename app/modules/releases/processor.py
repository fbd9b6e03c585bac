"""Carries releases out when their moment has come."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Problem
from app.modules.releases.jobs import ReleaseArticle
from app.modules.releases.service import carry_out, give_up, take_up
from app.queues.failure import Unrecoverable
from app.queues.job import processor
from app.queues.work import Work


@processor(ReleaseArticle, timeout_s=60)
async def release_article(work: Work, job: ReleaseArticle) -> None:
    """
    Raises:
        Unrecoverable: the article or its version is gone, or another has its slug: trying again cannot help.
    """
    try:
        async with work.transaction("release") as session:
            if session is not None:
                release = await carry_out(session, job.release_id)
                await work.complete(session, {"done": release is not None})
    except Problem as problem:
        raise Unrecoverable(str(problem)) from problem


@release_article.dead
async def on_dead(session: AsyncSession, job: ReleaseArticle, error: str) -> None:
    await give_up(session, job.release_id, error)


@release_article.replayed
async def on_replay(session: AsyncSession, job: ReleaseArticle) -> None:
    await take_up(session, job.release_id)
