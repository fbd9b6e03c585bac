"""What the worker runs: one try at a summary, with no transaction held while the provider thinks."""

import asyncio
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import NotFound
from app.core.ids import new_id
from app.core.policy import SYSTEM_ACTOR
from app.modules.ai.client import Provider, ProviderError
from app.modules.ai.jobs import SummarizeArticle
from app.modules.ai.service import RunLog
from app.modules.articles.service import ArticleService
from app.queues.failure import Failure, Superseded, Unrecoverable
from app.queues.job import processor
from app.queues.work import Work


@processor(SummarizeArticle)
async def summarize(work: Work, job: SummarizeArticle) -> None:
    """Raises what went wrong, so that the queue tries again; `Unrecoverable` where that cannot help."""
    provider = work.resource(Provider)  # type: ignore[type-abstract]  # a protocol is the key
    # Steps carry the run's id: every delivery opens a run of its own, also the first one after a replay.
    run_id = new_id()
    async with work.transaction(f"start:{run_id}") as session:
        assert session is not None
        task = await RunLog(session, SYSTEM_ACTOR).start(job.task_id, run_id, provider.name)
        if task is None:
            return
        text = await _text(session, task.article_id)
    try:
        await _try(work, job, run_id, provider, text)
    except Superseded:
        raise  # whoever took the job over has closed this run
    except ProviderError as error:
        await _fail(work, job, run_id, error)
        if error.retryable:
            raise
        raise Unrecoverable(str(error)) from error
    except asyncio.CancelledError:
        # Over the time limit, or the worker has to stop: the queue knows which, and says it in the job.
        stopped = ProviderError("interrupted", "the run was stopped before it ended", retryable=True)
        await _fail(work, job, run_id, stopped)
        raise
    except Exception as error:
        broken = ProviderError("failed", Failure.of(error).message, retryable=True)
        await _fail(work, job, run_id, broken)
        raise


@summarize.dead
async def on_dead(session: AsyncSession, job: SummarizeArticle, error: str) -> None:
    await RunLog(session, SYSTEM_ACTOR).give_up(job.task_id, error)


@summarize.replayed
async def on_replay(session: AsyncSession, job: SummarizeArticle) -> None:
    await RunLog(session, SYSTEM_ACTOR).take_up(job.task_id)


async def _text(session: AsyncSession, article_id: UUID) -> tuple[str, str] | None:
    """Title and Markdown; None when the article is gone."""
    try:
        article = await ArticleService(session, SYSTEM_ACTOR).get(article_id)
    except NotFound:
        return None
    return article.title, untitled(article.title, article.body_markdown)


def untitled(title: str, markdown: str) -> str:
    """The body without a first heading that repeats the title, which is said beside it anyway."""
    first, _, rest = markdown.lstrip().partition("\n")
    heading = first.startswith("# ") and first.removeprefix("# ").strip() == title
    return rest.lstrip("\n") if heading else markdown


async def _try(
    work: Work, job: SummarizeArticle, run_id: UUID, provider: Provider, text: tuple[str, str] | None
) -> None:
    gone = ProviderError("article_gone", "the article was deleted", retryable=False)
    if text is None:
        raise gone
    title, markdown = text
    completion = await provider.summarize(markdown, title=title, run_id=str(run_id))
    try:
        async with work.transaction("result") as session:
            if session is not None:
                await RunLog(session, SYSTEM_ACTOR).complete(job.task_id, run_id, completion)
                await work.complete(session)
    except NotFound:
        raise gone from None


async def _fail(work: Work, job: SummarizeArticle, run_id: UUID, error: ProviderError) -> None:
    again = error.retryable and not work.last_attempt
    async with work.transaction(f"failed:{run_id}") as session:
        assert session is not None
        await RunLog(session, SYSTEM_ACTOR).fail(job.task_id, run_id, error, again=again)
