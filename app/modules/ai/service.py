"""The rules of AI: what is asked for is a task, which can be cancelled and begun again; `processor` runs it."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import new_id
from app.core.live import signal
from app.core.locks import hold
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor, Permission
from app.core.quota import AI_CENTS_PER_MONTH
from app.core.request import correlation_id
from app.modules.ai import repository
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
from app.modules.ai.schemas import AI_ANSWERS, TaskRequest
from app.modules.articles.service import ArticleService, titles
from app.modules.audit.service import record
from app.modules.tenants.service import require_room
from app.queues.cancel import cancel
from app.queues.control import replay
from app.queues.enqueue import Wanted, enqueue, insert_rows, row_for
from app.queues.keys import holder_of, take_keys
from app.queues.models import State
from app.redis.cache import drop

__all__ = ["JOBS", "KINDS", "SORTS", "TASKS", "AiService", "TaskFilter", "TaskStatus", "take_up"]
TASKS = "ai.tasks"
SORTS = Sorts("-createdAt", {"createdAt": AiTask.id})
KINDS = (GenerateArticleDraft, RewriteArticle, SummarizeArticle, QualityCheck, SeoGenerate, SeoAudit)
JOBS: dict[str, type[AiJob]] = {job.kind: job for job in KINDS}
ENDED = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)


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
        same = None if key is not None else f"{kind}:{article_id}:{_digest(asked)}"
        # What is under way costs nothing more, so it is found also where the month's money is spent.
        if same is not None and (first := await self._under_way(JOBS[kind].queue, article.tenant_id, same)):
            return first
        await require_room(self._session, article.tenant_id, AI_CENTS_PER_MONTH)
        task_id = new_id()
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
            await take_up(self._session, task.id)
            task.job_id = row.id
            await insert_rows(self._session, [row])
        await self._session.flush()
        await self._session.refresh(task)
        await self._trace("ai.task.retry", task)
        return await self._told(task)

    async def _under_way(self, queue: str, tenant_id: UUID, key: str) -> AiTask | None:
        job_id = await holder_of(self._session, tenant_id, queue, key)
        task = None if job_id is None else await repository.task_of_job(self._session, job_id)
        if task is not None:
            await repository.add_tries(self._session, [task])
        return task

    async def _of_key(self, tenant_id: UUID, key: str) -> AiTask | None:
        # Two callers with one key come one after the other; the second then sees what the first has written.
        await hold(self._session, f"{tenant_id} {key}")
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
        own = self._actor.reach(READ)
        query = repository.tasks(wanted, own)
        place = f"tasks {scope_of(self._session).tenant_id} {sorted(own or ())} {wanted}"
        page = await pager.page(self._session, query, key=AiTask.id, of=place, limit=limit, cursor=cursor, sorts=SORTS)
        await repository.add_tries(self._session, page.items)
        return page


async def take_up(session: AsyncSession, task_id: UUID) -> None:
    """The job gets a new run: the task is unfinished again."""
    task = await session.get(AiTask, task_id, with_for_update=True)
    if task is None or task.status not in (TaskStatus.FAILED, TaskStatus.CANCELLED):
        return
    task.status, task.finished_at, task.cancel_requested_at = TaskStatus.QUEUED, None, None
    task.error_code = task.error_message = None
    signal(session, TASKS, task.id, task.tenant_id)


def _digest(asked: dict[str, Any]) -> str:
    return sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()[:16]
