"""The rules of AI: what is asked for is a task, each try at it is a run, and what comes of it is kept."""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Conflict, Invalid, NotFound
from app.core.events import emit
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager
from app.core.policy import Actor, Permission
from app.core.quota import AI_CENTS_PER_MONTH
from app.core.request import correlation_id
from app.modules.ai import repository
from app.modules.ai.client import Completion, ProviderError, Usage, told
from app.modules.ai.events import TaskEnded
from app.modules.ai.jobs import (
    AiJob,
    GenerateArticleDraft,
    QualityCheck,
    RewriteArticle,
    SeoAudit,
    SeoGenerate,
    SummarizeArticle,
)
from app.modules.ai.models import AiTask, TaskStatus
from app.modules.ai.permissions import READ, RUN
from app.modules.ai.repository import TaskFilter
from app.modules.ai.schemas import AI_ANSWERS, AiResult, TaskRequest
from app.modules.articles.service import ArticleService, titles
from app.modules.audit.service import record
from app.modules.drafts.service import DraftService
from app.modules.reports.service import ReportService
from app.modules.runs.service import RunLog
from app.modules.tenants.service import require_room
from app.queues.cancel import cancel
from app.queues.control import replay
from app.queues.enqueue import Wanted, enqueue, insert_rows, row_for
from app.queues.keys import take_keys
from app.queues.models import State
from app.redis.cache import drop

TASKS = "ai.tasks"
KINDS = (GenerateArticleDraft, RewriteArticle, SummarizeArticle, QualityCheck, SeoGenerate, SeoAudit)
JOBS: dict[str, type[AiJob]] = {job.kind: job for job in KINDS}
REPORTS = {QualityCheck.kind: "quality", SeoAudit.kind: "seo"}
ENDED = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)
_NOW: Any = func.now()  # the database's clock, like the start's


class AiService:
    """Asking for AI's work, and reading what became of it.

    A caller tied to a workspace finds only what belongs to that one's articles.
    """

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def start(self, wanted: TaskRequest, *, key: str | None = None) -> AiTask:
        """Ask for a task. While the very same one is unfinished, asking again gives that one.

        Args:
            key: asking again with it gives the first task, whatever became of that one.

        Raises:
            NotFound: there is no such article. QuotaExceeded: the tenant has spent this month what it may.
            Conflict (`key_used`): this key was used for another task.
        """
        asked = msgspec.to_builtins(wanted)
        kind, article_id = asked.pop("kind"), UUID(asked.pop("articleId"))
        article = await ArticleService(self._session, self._actor).get(article_id)
        if key is not None and (first := await self._of_key(article.tenant_id, key)):
            if (first.kind, first.article_id, first.input) != (kind, article_id, asked):
                raise Conflict("This key was used for another task", code="key_used")
            return first
        await require_room(self._session, article.tenant_id, AI_CENTS_PER_MONTH)
        task_id = new_id()
        same = None if key is not None else f"{kind}:{article_id}:{_digest(asked)}"
        job_id = await enqueue(self._session, JOBS[kind](task_id=task_id), key=same)
        first = await repository.task_of_job(self._session, job_id)
        if first is not None:
            await repository.add_tries(self._session, [first])
            return first
        task = AiTask(
            id=task_id,
            tenant_id=article.tenant_id,
            kind=kind,
            status=TaskStatus.QUEUED,
            article_id=article_id,
            input=asked,
            job_id=job_id,
            requested_by=self._actor.label,
            correlation_id=correlation_id(),
            idempotency_key=key,
        )
        self._session.add(task)
        await self._session.flush()
        resource = ("article", article_id, article.title)
        after = {"task": str(task_id), "job": str(job_id), "kind": kind}
        await record(
            self._session, self._actor, "ai.task.start", resource=resource, after=after, tenant_id=task.tenant_id
        )
        return await self._told(task)

    async def start_kind(
        self, kind: str, article_id: UUID, input: dict[str, Any] | None = None, *, key: str | None = None
    ) -> AiTask:
        """`start` for callers that hold the kind as text and what it takes as JSON.

        Raises:
            Invalid: naming the field that does not fit; and as `start`.
        """
        given = (input or {}) | {"kind": kind, "articleId": str(article_id)}
        try:
            wanted = msgspec.convert(given, TaskRequest)
        except msgspec.ValidationError as error:
            what, _, path = str(error).partition(" - at `$")
            raise Invalid.field(path.strip("`.") or "input", what) from None
        return await self.start(wanted, key=key)

    async def cancel(self, task_id: UUID) -> AiTask:
        """End what waits, and have stopped what runs: that is cancelled when its worker has stopped it.

        Raises:
            NotFound; Conflict (`not_cancellable`): it has ended.
        """
        task = await self.task(task_id, RUN)
        job = await repository.job_of(self._session, task)
        if job is None or task.status in ENDED:
            raise Conflict(f"A task that is {task.status} cannot be cancelled", code="not_cancellable")
        await cancel(self._session, job, by=self._actor.label)
        await self._session.refresh(task)
        task.cancel_requested_at = task.cancel_requested_at or datetime.now(UTC)
        await self._trace("ai.task.cancel", task)
        return await self._told(task)

    async def retry(self, task_id: UUID) -> AiTask:
        """Begin again with a task that has failed or was cancelled.

        Raises:
            NotFound; QuotaExceeded; Conflict: it has not ended, or is completed (`not_retryable`); the same was asked
            for since, and that task is unfinished (`key_taken`).
        """
        task = await self.task(task_id, RUN)
        if task.status not in (TaskStatus.FAILED, TaskStatus.CANCELLED):
            raise Conflict(f"A task that is {task.status} cannot be retried", code="not_retryable")
        await require_room(self._session, task.tenant_id, AI_CENTS_PER_MONTH)
        job = await repository.job_of(self._session, task)
        if job is not None and job.state == State.DEAD:
            await replay(self._session, job)
        else:
            # A job that was cancelled or removed has ended for good, and one of an old month is gone.
            key = None if task.idempotency_key else f"{task.kind}:{task.article_id}:{_digest(task.input)}"
            wanted = Wanted(job=JOBS[task.kind](task_id=task.id), key=key)
            row = row_for(self._session, wanted, tenant_id=task.tenant_id)
            if key is not None and (await take_keys(self._session, [row]))[row.id] != row.id:
                raise Conflict("The same was asked for again and is unfinished", code="key_taken")
            await TaskLog(self._session, self._actor).take_up(task.id)
            task.job_id = row.id
            await insert_rows(self._session, [row])
        await self._session.flush()
        await self._session.refresh(task)
        await self._trace("ai.task.retry", task)
        return await self._told(task)

    async def _of_key(self, tenant_id: UUID, key: str) -> AiTask | None:
        # Two callers with one key come one after the other; the second then sees what the first has written.
        await self._session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{tenant_id} {key}", 0))))
        query = select(AiTask).where(AiTask.tenant_id == tenant_id, AiTask.idempotency_key == key)
        found: AiTask | None = await self._session.scalar(query)
        return found

    async def _trace(self, action: str, task: AiTask) -> None:
        title = (await titles(self._session, {task.article_id})).get(task.article_id)
        resource, after = ("article", task.article_id, title), {"task": str(task.id), "kind": task.kind}
        await record(self._session, self._actor, action, resource=resource, after=after, tenant_id=task.tenant_id)

    async def _told(self, task: AiTask) -> AiTask:
        await self._session.flush()
        signal(self._session, TASKS, task.id, task.tenant_id)
        drop(self._session, *AI_ANSWERS.tags)
        await repository.add_tries(self._session, [task])
        return task

    async def task(self, task_id: UUID, right: Permission = READ) -> AiTask:
        """A task that the caller may read, or treat as `right` says.

        Raises:
            NotFound: there is none with this id, or it is not the caller's.
        """
        own = repository.tasks(TaskFilter(), self._actor.reach(right))
        task: AiTask | None = await self._session.scalar(own.where(AiTask.id == task_id))
        if task is None:
            raise NotFound("There is no AI task with this id")
        await repository.add_tries(self._session, [task])
        return task

    async def tasks(
        self, pager: Pager, wanted: TaskFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[AiTask]:
        """Newest first."""
        own = self._actor.reach(READ)
        query = repository.tasks(wanted, own)
        place = f"tasks {scope_of(self._session).tenant_id} {sorted(own or ())} {wanted}"
        page = await pager.page(self._session, query, key=AiTask.id, of=place, limit=limit, cursor=cursor)
        await repository.add_tries(self._session, page.items)
        return page


class Unfit(Exception):
    """What a model wrote cannot stand in an article: too long, or more than a line where one is wanted."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a worker read of an article before it asked the provider. `fixed` are fields that nobody may propose."""

    title: str
    version: int
    before: dict[str, str]
    fixed: frozenset[str]


class TaskLog:
    """A worker's side: takes a task up, and keeps what became of each run of it.

    Each call locks the task, so that two workers never write into one run.
    """

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor
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
            self._session, self._actor, "ai.task.complete", resource=resource, after=after | {"kind": task.kind}
        )
        await self._ended(task)
        self._announce(task)

    async def _effect(self, task: AiTask, run_id: UUID, seen: Seen, written: Completion) -> AiResult:
        """What a kind makes of an answer: a summary of the article, a draft for a person to decide on, or a report."""
        of = (task.tenant_id, task.id, run_id)
        article, provider = (task.article_id, seen.version), written.provider
        articles = ArticleService(self._session, self._actor)
        if task.kind == SummarizeArticle.kind:
            await articles.set_summary(task.article_id, written.text, written.keywords, provider)
            return AiResult(provider=provider, summary=written.text, keywords=written.keywords)
        await articles.get(task.article_id)
        if task.kind in REPORTS:
            found = msgspec.to_builtins(written.findings)
            report = await ReportService(self._session, self._actor).keep(
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
            draft = await DraftService(self._session, self._actor).propose(
                task.kind,
                task=of,
                article=article,
                provider=provider,
                before=seen.before,
                patch={name: value for name, value in patch.items() if value and name not in seen.fixed},
                note=written.note,
            )
        except msgspec.ValidationError as error:
            raise Unfit(str(error)) from None
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
        if task is None:
            return
        if task.status == TaskStatus.COMPLETED:
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
            self._actor,
            "ai.task.fail",
            resource=resource,
            after=after,
            tenant_id=task.tenant_id,
            outcome="failed",
        )
        await self._ended(task)
        self._announce(task)

    async def take_up(self, task_id: UUID) -> None:
        """The job gets a new run: the task is unfinished again."""
        task = await self._session.get(AiTask, task_id, with_for_update=True)
        if task is None or task.status not in (TaskStatus.FAILED, TaskStatus.CANCELLED):
            return
        task.status, task.finished_at, task.cancel_requested_at = TaskStatus.QUEUED, None, None
        task.error_code = task.error_message = None
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


def _digest(asked: dict[str, Any]) -> str:
    return sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()[:16]


def _tokens(usage: Usage) -> dict[str, int]:
    return {
        "input": usage["input_tokens"],
        "cacheRead": usage["cache_read_tokens"],
        "cacheWrite": usage["cache_write_tokens"],
        "output": usage["output_tokens"],
        "reasoning": usage["reasoning_tokens"],
    }
