"""The rules of AI: what is asked for is a task, each try at it is a run, and all that happens leaves a trace."""

from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Select, func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.core.database import scope_of
from app.core.errors import NotFound
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager
from app.core.policy import Actor
from app.core.quota import AI_CENTS_PER_MONTH
from app.core.request import correlation_id
from app.modules.ai import repository
from app.modules.ai.client import Completion, ProviderError, Usage, told
from app.modules.ai.jobs import SummarizeArticle
from app.modules.ai.models import AiEventLog, AiMessage, AiRun, AiTask, RunStatus, TaskStatus
from app.modules.ai.repository import EntryFilter, RunFilter, TaskFilter
from app.modules.ai.schemas import AI_ANSWERS
from app.modules.articles.service import ArticleService
from app.modules.audit.service import record
from app.modules.tenants.service import require_room
from app.queues.enqueue import enqueue
from app.redis.cache import drop

TASKS, RUNS = "ai.tasks", "ai.runs"
R = TypeVar("R")
_NOW: Any = func.now()  # the database's clock, like the start's


class AiService:
    """Asking for AI's work, and reading what became of it.

    A caller tied to a workspace finds only what belongs to that one's articles.
    """

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def request_summary(self, article_id: UUID) -> AiTask:
        """Ask for a summary. While one is unfinished, asking again gives the same task.

        Raises:
            NotFound: there is no such article. QuotaExceeded: the tenant has spent this month what it may.
        """
        article = await ArticleService(self._session, self._actor).get(article_id)
        await require_room(self._session, article.tenant_id, AI_CENTS_PER_MONTH)
        task_id = new_id()
        job_id = await enqueue(self._session, SummarizeArticle(task_id=task_id), key=f"summary:{article_id}")
        task = await repository.task_of_job(self._session, job_id)
        if task is not None:
            await repository.add_tries(self._session, [task])
            return task
        task = AiTask(
            id=task_id,
            tenant_id=article.tenant_id,
            kind=SummarizeArticle.kind,
            status=TaskStatus.QUEUED,
            article_id=article_id,
            job_id=job_id,
            requested_by=self._actor.label,
            correlation_id=correlation_id(),
        )
        self._session.add(task)
        await self._session.flush()
        after = {"task": str(task_id), "job": str(job_id)}
        resource = ("article", article_id, article.title)
        await record(self._session, self._actor, "ai.summary.request", resource=resource, after=after)
        signal(self._session, TASKS, task_id, task.tenant_id)
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


class RunLog:
    """A worker's side: opens, completes and fails the runs of one task, and writes down what happened.

    Each call locks the task, so that two workers never write into one run.
    """

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def start(self, task_id: UUID, run_id: UUID, provider: str) -> AiTask | None:
        """Open the next run; None when there is nothing to do: the task is completed, or gone."""
        task = await self._session.get(AiTask, task_id, with_for_update=True)
        if task is None or task.status == TaskStatus.COMPLETED:
            return None
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

    async def complete(self, task_id: UUID, run_id: UUID, completion: Completion) -> None:
        """Keep what the provider wrote, in the run, in the task and in the article.

        Raises:
            NotFound: the article is gone; nothing may commit.
        """
        task = await self._task(task_id)
        run = await self._session.get_one(AiRun, run_id)
        self._say(run, completion)
        run.status, run.model, run.cost, run.finished_at = RunStatus.COMPLETED, completion.model, completion.cost, _NOW
        if completion.usage is not None:
            run.usage = _tokens(completion.usage)
        task.status, task.finished_at = TaskStatus.COMPLETED, _NOW
        task.result = {
            "summary": completion.text,
            "keywords": completion.keywords,
            "provider": completion.provider,
        }
        articles = ArticleService(self._session, self._actor)
        article = await articles.set_summary(task.article_id, completion.text, completion.keywords, completion.provider)
        await self._note(run, "provider.answered", model=completion.model, finishReason=completion.finish_reason)
        characters, words = len(completion.text), len(completion.keywords)
        await self._note(run, "run.completed", summaryCharacters=characters, keywords=words)
        after = {"task": str(task_id), "run": str(run_id), "provider": completion.provider, "model": completion.model}
        resource = ("article", article.id, article.title)
        await record(self._session, self._actor, "ai.summary.complete", resource=resource, after=after)
        self._announce(task, run)

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
        task.status, task.finished_at = TaskStatus.FAILED, _NOW
        # The last run's code, where it was that run which ended the job; somebody may also have removed it since.
        ran = last is not None and last.error_message == reason
        code = last.error_code if last and ran else None
        self._tell(task, code or ("not_completed" if last else "not_started"))
        after = {"task": str(task_id), "error": task.error_message}
        title = (await repository.article_titles(self._session, {task.article_id})).get(task.article_id)
        resource = ("article", task.article_id, title)
        await record(
            self._session,
            self._actor,
            "ai.summary.fail",
            resource=resource,
            after=after,
            tenant_id=task.tenant_id,
            outcome="failed",
        )
        self._announce(task)

    async def take_up(self, task_id: UUID) -> None:
        """The job gets a new run: the task is unfinished again."""
        task = await self._session.get(AiTask, task_id, with_for_update=True)
        if task is None or task.status != TaskStatus.FAILED:
            return
        task.status, task.finished_at = TaskStatus.QUEUED, None
        task.error_code = task.error_message = None
        self._announce(task)

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
        answer = [{"type": "text", "text": completion.text}, {"type": "keywords", "keywords": completion.keywords}]
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


def _tokens(usage: Usage) -> dict[str, int]:
    return {
        "input": usage["input_tokens"],
        "cacheRead": usage["cache_read_tokens"],
        "cacheWrite": usage["cache_write_tokens"],
        "output": usage["output_tokens"],
        "reasoning": usage["reasoning_tokens"],
    }
