"""What the worker runs: one try at a task, with no transaction held while the provider thinks."""

import asyncio
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import NotFound
from app.core.ids import new_id
from app.core.policy import SYSTEM_ACTOR
from app.modules.ai.client import Order, Provider, ProviderError
from app.modules.ai.jobs import AiJob, GenerateArticleDraft, RewriteArticle
from app.modules.ai.models import AiTask
from app.modules.ai.service import KINDS, Seen, TaskLog, Unfit
from app.modules.articles.service import ArticleService
from app.queues.failure import Failure, Superseded, Unrecoverable
from app.queues.job import Processor
from app.queues.work import Work


async def perform(work: Work, job: AiJob) -> None:
    """Raises what went wrong, so that the queue tries again; `Unrecoverable` where that cannot help."""
    provider = work.resource(Provider)  # type: ignore[type-abstract]  # a protocol is the key
    # Steps carry the run's id: every delivery opens a run of its own, also the first one after a replay.
    run_id = new_id()
    async with work.transaction(f"start:{run_id}") as session:
        assert session is not None
        task = await TaskLog(session, SYSTEM_ACTOR).start(job.task_id, run_id, provider.name, work.job_id)
        if task is None:
            return
        read = await _read(session, task)
    try:
        await _try(work, job, run_id, provider, read)
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


async def on_dead(session: AsyncSession, job: AiJob, error: str) -> None:
    await TaskLog(session, SYSTEM_ACTOR).give_up(job.task_id, error)


async def on_replay(session: AsyncSession, job: AiJob) -> None:
    await TaskLog(session, SYSTEM_ACTOR).take_up(job.task_id)


PROCESSORS = [Processor(kind, perform, on_dead, on_replay) for kind in KINDS]


async def _read(session: AsyncSession, task: AiTask) -> tuple[Order, Seen] | None:
    """What is to be done, and what was seen of the article; None when that is gone."""
    try:
        article = await ArticleService(session, SYSTEM_ACTOR).get(task.article_id)
    except NotFound:
        return None
    repeated = task.kind not in (GenerateArticleDraft.kind, RewriteArticle.kind)
    body = article.body_markdown
    order = Order(
        kind=task.kind,
        title=article.title,
        text=untitled(article.title, body) if repeated else body,
        language=article.language,
        slug=article.slug,
        excerpt=article.excerpt,
        input=task.input,
    )
    before = {"title": article.title, "body": body, "slug": article.slug}
    # Readers have the address of what is published.
    fixed = frozenset() if article.published_at is None else frozenset({"slug"})
    return order, Seen(article.title, article.version, before, fixed)


def untitled(title: str, markdown: str) -> str:
    """The body without a first heading that repeats the title, which is said beside it anyway."""
    first, _, rest = markdown.lstrip().partition("\n")
    heading = first.startswith("# ") and first.removeprefix("# ").strip() == title
    return rest.lstrip("\n") if heading else markdown


async def _try(work: Work, job: AiJob, run_id: UUID, provider: Provider, read: tuple[Order, Seen] | None) -> None:
    gone = ProviderError("article_gone", "the article was deleted", retryable=False)
    if read is None:
        raise gone
    order, seen = read
    completion = await provider.write(order, run_id=str(run_id))
    try:
        async with work.transaction("result") as session:
            if session is not None:
                await TaskLog(session, SYSTEM_ACTOR).complete(job.task_id, run_id, seen, completion)
                await work.complete(session)
    except NotFound:
        raise gone from None
    except Unfit as error:
        raise ProviderError("unfit", f"what was written does not fit: {error}", retryable=True) from None


async def _fail(work: Work, job: AiJob, run_id: UUID, error: ProviderError) -> None:
    again = error.retryable and not work.last_attempt
    async with work.transaction(f"failed:{run_id}") as session:
        assert session is not None
        await TaskLog(session, SYSTEM_ACTOR).fail(job.task_id, run_id, error, again=again)
