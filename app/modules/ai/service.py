"""The rules of AI: what is asked for is a task, each try at it is a run, and all that happens leaves a trace."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.core.database import scope_of
from app.core.errors import Conflict, Invalid, NotFound
from app.core.events import emit
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager
from app.core.policy import Actor
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
from app.modules.ai.models import AiEventLog, AiMessage, AiRun, AiTask, RunStatus, TaskStatus
from app.modules.ai.repository import EntryFilter, RunFilter, Spent, TaskFilter
from app.modules.ai.schemas import AI_ANSWERS, AiResult, TaskRequest
from app.modules.articles.service import ArticleService
from app.modules.audit.service import record
from app.modules.drafts.service import DraftService
from app.modules.reports.service import ReportService
from app.modules.tenants.service import require_room
from app.queues.cancel import cancel
from app.queues.control import replay
from app.queues.enqueue import Wanted, enqueue, insert_rows, row_for
from app.queues.keys import take_keys
from app.queues.models import State
from app.redis.cache import drop

TASKS, RUNS = "ai.tasks", "ai.runs"
KINDS = (GenerateArticleDraft, RewriteArticle, SummarizeArticle, QualityCheck, SeoGenerate, SeoAudit)
JOBS: dict[str, type[AiJob]] = {job.kind: job for job in KINDS}
REPORTS = {QualityCheck.kind: "quality", SeoAudit.kind: "seo"}
ENDED = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)
R = TypeVar("R")
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
        task = await self.task(task_id)
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
        task = await self.task(task_id)
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
            await RunLog(self._session, self._actor).take_up(task.id)
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
        title = (await repository.article_titles(self._session, {task.article_id})).get(task.article_id)
        resource, after = ("article", task.article_id, title), {"task": str(task.id), "kind": task.kind}
        await record(self._session, self._actor, action, resource=resource, after=after, tenant_id=task.tenant_id)

    async def _told(self, task: AiTask) -> AiTask:
        await self._session.flush()
        signal(self._session, TASKS, task.id, task.tenant_id)
        drop(self._session, *AI_ANSWERS.tags)
        await repository.add_tries(self._session, [task])
        return task

    async def task(self, task_id: UUID) -> AiTask:
        """
        Raises:
            NotFound: there is none with this id, or it is not the caller's.
        """
        own = repository.tasks(TaskFilter(), workspace_id=self._actor.workspace_id)
        task = await self._one(own.where(AiTask.id == task_id), "task")
        await repository.add_tries(self._session, [task])
        return task

    async def run(self, run_id: UUID) -> AiRun:
        """For the platform.

        Raises:
            NotFound: there is none with this id.
        """
        return await self._one(repository.runs(RunFilter()).where(AiRun.id == run_id), "run")

    async def event(self, event_id: UUID) -> AiEventLog:
        """For the platform.

        Raises:
            NotFound: there is none with this id.
        """
        return await self._one(repository.events(EntryFilter()).where(AiEventLog.id == event_id), "event")

    async def tasks(
        self, pager: Pager, wanted: TaskFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[AiTask]:
        """Newest first."""
        own = self._actor.workspace_id
        page = await self._page(pager, repository.tasks(wanted, workspace_id=own), AiTask.id, wanted, limit, cursor)
        await repository.add_tries(self._session, page.items)
        return page

    async def runs(self, pager: Pager, wanted: RunFilter, *, limit: int = 25, cursor: str | None = None) -> Page[AiRun]:
        """Newest first. For the platform."""
        return await self._page(pager, repository.runs(wanted), AiRun.id, wanted, limit, cursor)

    async def messages(
        self, pager: Pager, wanted: EntryFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[AiMessage]:
        """Newest first. For the platform."""
        return await self._page(pager, repository.messages(wanted), AiMessage.id, wanted, limit, cursor)

    async def events(
        self, pager: Pager, wanted: EntryFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[AiEventLog]:
        """Newest first. For the platform."""
        return await self._page(pager, repository.events(wanted), AiEventLog.id, wanted, limit, cursor)

    async def usage(self, month: str | None = None) -> tuple[str, list[Spent]]:
        """What runs used in a month ("2026-11"), or in this one, by tenant; a tenant finds its own.

        Raises:
            Invalid: naming `month`.
        """
        try:
            begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC) if month else datetime.now(UTC)
        except ValueError:
            raise Invalid.field("month", "must be a month such as 2026-11") from None
        begin = begin.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        if not 2020 <= begin.year < 2100:
            raise Invalid.field("month", "must lie between 2020 and 2099")
        end = (begin + timedelta(days=32)).replace(day=1)
        return f"{begin:%Y-%m}", await repository.spent(self._session, begin, end)

    async def _one(self, query: Select[tuple[R]], what: str) -> R:
        found: R | None = await self._session.scalar(query)
        if found is None:
            raise NotFound(f"There is no AI {what} with this id")
        return found

    async def _page(
        self,
        pager: Pager,
        query: Select[tuple[R]],
        key: InstrumentedAttribute[UUID],
        wanted: object,
        limit: int,
        cursor: str | None,
    ) -> Page[R]:
        place = f"{key} {scope_of(self._session).tenant_id} {self._actor.workspace_id} {wanted}"
        return await pager.page(self._session, query, key=key, of=place, limit=limit, cursor=cursor)


class Unfit(Exception):
    """What a model wrote cannot stand in an article: too long, or more than a line where one is wanted."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a worker read of an article before it asked the provider. `fixed` are fields that nobody may propose."""

    title: str
    version: int
    before: dict[str, str]
    fixed: frozenset[str]


class RunLog:
    """A worker's side: opens, completes and fails the runs of one task, and writes down what happened.

    Each call locks the task, so that two workers never write into one run.
    """

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def start(self, task_id: UUID, run_id: UUID, provider: str, job_id: UUID) -> AiTask | None:
        """Open the next run; None when there is nothing to do: the task is completed, or gone."""
        task = await self._session.get(AiTask, task_id, with_for_update=True)
        if task is None or task.status == TaskStatus.COMPLETED:
            return None
        task.job_id = job_id  # another one, where somebody edited the dead letter
        last = await self._close_open(task, "the worker was lost during this run")
        task.status, task.finished_at = TaskStatus.RUNNING, None
        task.error_code = task.error_message = None
        run = AiRun(
            id=run_id,
            tenant_id=task.tenant_id,
            task_id=task_id,
            attempt=last.attempt + 1 if last else 1,
            provider=provider,
            status=RunStatus.RUNNING,
        )
        self._session.add(run)
        await self._session.flush()
        await self._note(run, "run.started", attempt=run.attempt, provider=provider, articleId=str(task.article_id))
        self._announce(task, run)
        return task

    async def complete(self, task_id: UUID, run_id: UUID, seen: Seen, completion: Completion) -> None:
        """Keep what the provider wrote: in the run, in the task, and as what its kind makes of it.

        Raises:
            NotFound: the article is gone; nothing may commit. Unfit: what was written cannot stand in an article.
        """
        task = await self._task(task_id)
        run = await self._session.get_one(AiRun, run_id)
        result = await self._effect(task, run, seen, completion)
        self._say(run, completion)
        run.status, run.model, run.cost, run.finished_at = RunStatus.COMPLETED, completion.model, completion.cost, _NOW
        run.template_version = completion.template_version
        if completion.usage is not None:
            run.usage = _tokens(completion.usage)
        task.status, task.finished_at = TaskStatus.COMPLETED, _NOW
        task.result = msgspec.to_builtins(result)
        await self._note(run, "provider.answered", model=completion.model, finishReason=completion.finish_reason)
        made = {name: value for name, value in (("draft", result.draft_id), ("report", result.report_id)) if value}
        told: dict[str, Any] = {"characters": len(completion.text), "keywords": len(completion.keywords)}
        await self._note(run, "run.completed", **told | {name: str(value) for name, value in made.items()})
        after = {"task": str(task_id), "run": str(run_id), "provider": completion.provider, "model": completion.model}
        resource = ("article", task.article_id, seen.title)
        await record(
            self._session, self._actor, "ai.task.complete", resource=resource, after=after | {"kind": task.kind}
        )
        await self._ended(task)
        self._announce(task, run)

    async def _effect(self, task: AiTask, run: AiRun, seen: Seen, written: Completion) -> AiResult:
        """What a kind makes of an answer: a summary of the article, a draft for a person to decide on, or a report."""
        of = (task.tenant_id, task.id, run.id)
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
        run = await self._session.get_one(AiRun, run_id)
        if run.status != RunStatus.RUNNING:
            return
        self._close(run, error.code, str(error))
        if again:
            task.status = TaskStatus.QUEUED
            self._tell(task, error.code)
        after_s = {} if error.retry_after is None else {"retryAfterS": error.retry_after}
        why = {"code": error.code, "message": str(error), "retryable": error.retryable} | after_s
        await self._note(run, "run.failed", "error", **why)
        self._announce(task, run)

    async def give_up(self, task_id: UUID, reason: str) -> None:
        """The job is out of attempts: the task has failed. A task that is gone stays gone."""
        task = await self._session.get(AiTask, task_id, with_for_update=True)
        if task is None:
            return
        if task.status == TaskStatus.COMPLETED:
            return
        last = await self._close_open(task, reason)
        job = await repository.job_of(self._session, task)
        cancelled = job is not None and job.state == State.CANCELLED
        task.status, task.finished_at = TaskStatus.CANCELLED if cancelled else TaskStatus.FAILED, _NOW
        # The last run's code, where it was that run which ended the job; somebody may also have removed it since.
        ran = last is not None and last.error_message == reason
        code = last.error_code if last and ran else None
        self._tell(task, "cancelled" if cancelled else code or ("not_completed" if last else "not_started"))
        after = {"task": str(task_id), "kind": task.kind, "error": task.error_message}
        title = (await repository.article_titles(self._session, {task.article_id})).get(task.article_id)
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

    async def _close_open(self, task: AiTask, reason: str) -> AiRun | None:
        """The task's latest run, closed if a worker left it open."""
        last = await repository.latest_run(self._session, task.id)
        if last is not None and last.status == RunStatus.RUNNING:
            self._close(last, "interrupted", reason)
            await self._note(last, "run.interrupted", "warning", message=reason)
            await self._session.flush()
            signal(self._session, RUNS, last.id, last.tenant_id)
        return last

    def _tell(self, task: AiTask, code: str) -> None:
        """The tenant reads the task; the run and the job keep what the provider said, for the platform."""
        task.error_code, task.error_message = code, told(code)

    def _close(self, run: AiRun, code: str, message: str) -> None:
        run.status, run.error_code, run.error_message, run.finished_at = RunStatus.FAILED, code, message, _NOW

    def _say(self, run: AiRun, completion: Completion) -> None:
        """The messages that were sent, and the answer."""
        answer: list[dict[str, Any]] = [{"type": "text", "text": completion.text}] if completion.text else []
        if completion.keywords:
            answer.append({"type": "keywords", "keywords": completion.keywords})
        names = ("title", "description", "slug", "note", "findings")
        if other := {name: getattr(completion, name) for name in names if getattr(completion, name)}:
            answer.append({"type": "fields"} | msgspec.to_builtins(other))
        sent = [(item["role"], [{"type": "text", "text": item["content"]}]) for item in completion.messages]
        for seq, (role, parts) in enumerate([*sent, ("assistant", answer)], 1):
            digest = sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()
            self._session.add(
                AiMessage(tenant_id=run.tenant_id, run_id=run.id, seq=seq, role=role, parts=parts, sha256=digest)
            )

    async def _note(self, run: AiRun, type_: str, level: str = "info", **payload: Any) -> None:
        seq = await repository.last_seq(self._session, run.id) + 1
        self._session.add(
            AiEventLog(run_id=run.id, seq=seq, tenant_id=run.tenant_id, type=type_, level=level, payload=payload)
        )

    def _announce(self, task: AiTask, run: AiRun | None = None) -> None:
        signal(self._session, TASKS, task.id, task.tenant_id)
        if run is not None:
            signal(self._session, RUNS, run.id, run.tenant_id)


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
