"""What the worker runs: one try at a task, with no transaction held while the provider thinks, and what comes of it."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Invalid, NotFound
from app.core.events import emit
from app.core.ids import new_id
from app.core.live import signal
from app.core.policy import SYSTEM_ACTOR
from app.modules.ai import repository
from app.modules.ai.client import Completion, Order, Provider, ProviderError, Usage, told
from app.modules.ai.events import TaskEnded
from app.modules.ai.jobs import (
    AiJob,
    GenerateArticleDraft,
    ProbeProvider,
    QualityCheck,
    RewriteArticle,
    SeoAudit,
    SummarizeArticle,
)
from app.modules.ai.models import AiTask, TaskStatus
from app.modules.ai.schemas import AiResult
from app.modules.ai.service import KINDS, TASKS, take_up
from app.modules.articles.service import ArticleService, titles
from app.modules.audit.service import record
from app.modules.drafts.service import DraftService
from app.modules.reports.service import ReportService
from app.modules.runs.service import RunLog
from app.modules.tenants.service import may_send
from app.queues.failure import Failure, Superseded, Unrecoverable
from app.queues.job import Processor, processor
from app.queues.models import State
from app.queues.work import Work

REPORTS = {QualityCheck.kind: "quality", SeoAudit.kind: "seo"}
_NOW: Any = func.now()  # the database's clock, like the start's


class Unfit(Exception):
    """What a model wrote cannot stand in an article: too long, or more than a line where one is wanted."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a worker read of an article before it asked the provider. `fixed` are fields that nobody may propose."""

    title: str
    version: int
    before: dict[str, str]
    fixed: frozenset[str]


async def perform(work: Work, job: AiJob) -> None:
    """Raises what went wrong, so that the queue tries again; `Unrecoverable` where that cannot help."""
    provider = work.resource(Provider)  # type: ignore[type-abstract]  # a protocol is the key
    # Steps carry the run's id: every delivery opens a run of its own, also the first one after a replay.
    run_id = new_id()
    async with work.transaction(f"start:{run_id}") as session:
        assert session is not None
        task = await TaskLog(session).start(job.task_id, run_id, provider.name, work.job_id)
        if task is None:
            return
        read, allowed = await _read(session, task), await may_send(session)
    try:
        if not allowed:
            raise ProviderError("tenant_suspended", "the tenant is suspended", retryable=False)
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
    await TaskLog(session).give_up(job.task_id, error)


async def on_replay(session: AsyncSession, job: AiJob) -> None:
    await take_up(session, job.task_id)


@processor(ProbeProvider, timeout_s=30)
async def probe(work: Work, _: ProbeProvider) -> None:
    """What came of it is the job's result, which the overview reads: a provider that is away fails no job."""
    provider = work.resource(Provider)  # type: ignore[type-abstract]  # a protocol is the key
    found = {"provider": provider.name, "error": None}
    try:
        await provider.probe()
    except ProviderError as error:
        found["error"] = str(error)
    async with work.transaction("found") as session:
        if session is not None:
            await work.complete(session, found)


PROCESSORS = [*(Processor(kind, perform, on_dead, on_replay) for kind in KINDS), probe]


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
                await TaskLog(session).complete(job.task_id, run_id, seen, completion)
                await work.complete(session)
    except NotFound:
        raise gone from None
    except Unfit as error:
        raise ProviderError("unfit", f"what was written does not fit: {error}", retryable=True) from None


async def _fail(work: Work, job: AiJob, run_id: UUID, error: ProviderError) -> None:
    again = error.retryable and not work.last_attempt
    async with work.transaction(f"failed:{run_id}") as session:
        assert session is not None
        await TaskLog(session).fail(job.task_id, run_id, error, again=again)


class TaskLog:
    """What is kept of each run of a task, and what its kind makes of the answer.

    Each call locks the task, so that two workers never write into one run.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._runs = RunLog(session)

    async def start(self, task_id: UUID, run_id: UUID, provider: str, job_id: UUID) -> AiTask | None:
        """Open the next run; None when there is nothing to do: the task is completed, or gone."""
        task = await self._session.get(AiTask, task_id, with_for_update=True)
        if task is None or task.status == TaskStatus.COMPLETED:
            return None
        task.job_id = job_id  # another one, where somebody edited the dead letter
        task.status, task.finished_at = TaskStatus.RUNNING, None
        task.error_code = task.error_message = None
        await self._runs.open(run_id, task.tenant_id, task_id, provider, articleId=str(task.article_id))
        self._announce(task)
        return task

    async def complete(self, task_id: UUID, run_id: UUID, seen: Seen, completion: Completion) -> None:
        """Keep what the provider wrote: in the run, in the task, and as what its kind makes of it.

        Raises:
            NotFound: the article is gone; nothing may commit. Unfit: what was written cannot stand in an article.
        """
        task = await self._task(task_id)
        result = await self._effect(task, run_id, seen, completion)
        made = {name: str(value) for name, value in (("draft", result.draft_id), ("report", result.report_id)) if value}
        await self._runs.complete(
            run_id,
            model=completion.model,
            template_version=completion.template_version,
            usage=_tokens(completion.usage) if completion.usage else None,
            cost=completion.cost,
            said=_said(completion),
            finish_reason=completion.finish_reason,
            characters=len(completion.text),
            keywords=len(completion.keywords),
            **made,
        )
        task.status, task.finished_at = TaskStatus.COMPLETED, _NOW
        task.result = msgspec.to_builtins(result)
        after = {"task": str(task_id), "run": str(run_id), "provider": completion.provider, "model": completion.model}
        resource = ("article", task.article_id, seen.title)
        await record(
            self._session, SYSTEM_ACTOR, "ai.task.complete", resource=resource, after=after | {"kind": task.kind}
        )
        await self._ended(task)
        self._announce(task)

    async def _effect(self, task: AiTask, run_id: UUID, seen: Seen, written: Completion) -> AiResult:
        """What a kind makes of an answer: a summary of the article, a draft for a person to decide on, or a report."""
        of = (task.tenant_id, task.id, run_id)
        article, provider = (task.article_id, seen.version), written.provider
        articles = ArticleService(self._session, SYSTEM_ACTOR)
        if task.kind == SummarizeArticle.kind:
            await articles.set_summary(task.article_id, written.text, written.keywords, provider)
            return AiResult(provider=provider, summary=written.text, keywords=written.keywords)
        await articles.get(task.article_id)
        if task.kind in REPORTS:
            found = msgspec.to_builtins(written.findings)
            report = await ReportService(self._session, SYSTEM_ACTOR).keep(
                REPORTS[task.kind],
                task=of,
                article=article,
                provider=provider,
                findings=found,
                measures=written.measures,
            )
            return AiResult(provider=provider, report_id=report.id, score=report.score)
        patch = {"title": written.title, "body": written.text, "slug": written.slug}
        try:
            draft = await DraftService(self._session, SYSTEM_ACTOR).propose(
                task.kind,
                task=of,
                article=article,
                provider=provider,
                before=seen.before,
                patch={name: value for name, value in patch.items() if value and name not in seen.fixed},
                note=written.note,
            )
        except msgspec.ValidationError as error:
            raise Unfit(Invalid.misfit(error, "answer").detail) from None
        return AiResult(
            provider=provider,
            keywords=written.keywords,
            title=written.title,
            description=written.description,
            slug=written.slug,
            note=written.note if draft else "There was nothing to change",
            draft_id=draft.id if draft else None,
        )

    async def fail(self, task_id: UUID, run_id: UUID, error: ProviderError, *, again: bool) -> None:
        """Close a run that got no answer; with `again` the task is queued for its next run.

        A run that the next worker has closed stays as it is.
        """
        task = await self._task(task_id)
        after_s = {} if error.retry_after is None else {"retryAfterS": error.retry_after}
        if not await self._runs.fail(run_id, error.code, str(error), retryable=error.retryable, **after_s):
            return
        if again:
            task.status = TaskStatus.QUEUED
            self._tell(task, error.code)
        self._announce(task)

    async def give_up(self, task_id: UUID, reason: str) -> None:
        """The job is out of attempts: the task has failed. A task that is gone stays gone."""
        task = await self._session.get(AiTask, task_id, with_for_update=True)
        if task is None or task.status == TaskStatus.COMPLETED:
            return
        last = await self._runs.close_open(task.id, reason)
        job = await repository.job_of(self._session, task)
        cancelled = job is not None and job.state == State.CANCELLED
        task.status, task.finished_at = TaskStatus.CANCELLED if cancelled else TaskStatus.FAILED, _NOW
        # The last run's code, where it was that run which ended the job; somebody may also have removed it since.
        ran = last is not None and last.error_message == reason
        code = last.error_code if last and ran else None
        self._tell(task, "cancelled" if cancelled else code or ("not_completed" if last else "not_started"))
        after = {"task": str(task_id), "kind": task.kind, "error": task.error_message}
        title = (await titles(self._session, {task.article_id})).get(task.article_id)
        resource = ("article", task.article_id, title)
        await record(
            self._session,
            SYSTEM_ACTOR,
            "ai.task.fail",
            resource=resource,
            after=after,
            tenant_id=task.tenant_id,
            outcome="failed",
        )
        await self._ended(task)
        self._announce(task)

    async def _ended(self, task: AiTask) -> None:
        event = TaskEnded(task.id, task.kind, task.article_id, str(task.status))
        await emit(self._session, event, tenant_id=task.tenant_id)

    async def _task(self, task_id: UUID) -> AiTask:
        return await self._session.get_one(AiTask, task_id, with_for_update=True)

    def _tell(self, task: AiTask, code: str) -> None:
        """The tenant reads the task; the run and the job keep what the provider said, for the platform."""
        task.error_code, task.error_message = code, told(code)

    def _announce(self, task: AiTask) -> None:
        signal(self._session, TASKS, task.id, task.tenant_id)


def _said(completion: Completion) -> list[tuple[str, list[dict[str, Any]]]]:
    """The messages that were sent, and the answer."""
    answer: list[dict[str, Any]] = [{"type": "text", "text": completion.text}] if completion.text else []
    if completion.keywords:
        answer.append({"type": "keywords", "keywords": completion.keywords})
    names = ("title", "description", "slug", "note", "findings")
    if other := {name: getattr(completion, name) for name in names if getattr(completion, name)}:
        answer.append({"type": "fields"} | msgspec.to_builtins(other))
    sent = [(item["role"], [{"type": "text", "text": item["content"]}]) for item in completion.messages]
    return [*sent, ("assistant", answer)]


def _tokens(usage: Usage) -> dict[str, int]:
    return {
        "input": usage["input_tokens"],
        "cacheRead": usage["cache_read_tokens"],
        "cacheWrite": usage["cache_write_tokens"],
        "output": usage["output_tokens"],
        "reasoning": usage["reasoning_tokens"],
    }
