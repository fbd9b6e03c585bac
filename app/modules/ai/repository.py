"""Queries on AI's tables, and the names that their pages show beside the ids."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, Uuid, column, func, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.queries import between
from app.core.signs import Sign, Weight
from app.modules.ai.jobs import ProbeProvider
from app.modules.ai.models import AiTask, TaskStatus, Tries
from app.modules.articles.service import titles, within
from app.modules.tenants.service import tenant_names
from app.queues.models import JobRow, State

PROBED = timedelta(minutes=10)
# A table of a module below, by name: its model is its own.
_ARTICLE = table("article", column("id"), column("title"))


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks; None means any."""

    status: TaskStatus | None = None
    tenant_id: UUID | None = None
    article_id: UUID | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def tasks(wanted: TaskFilter, workspaces: frozenset[UUID] | None) -> Select[tuple[AiTask]]:
    """Those that fit, and are about articles of these workspaces; None for all. `since` is in, `until` is not."""
    pairs = (
        (AiTask.status, wanted.status),
        (AiTask.tenant_id, wanted.tenant_id),
        (AiTask.article_id, wanted.article_id),
        (AiTask.kind, wanted.kind),
    )
    query = select(AiTask).where(*(column == value for column, value in pairs if value is not None))
    query = between(query, AiTask.id, wanted.since, wanted.until)
    return query if workspaces is None else query.where(AiTask.article_id.in_(within(workspaces)))


async def task_of_job(session: AsyncSession, job_id: UUID) -> AiTask | None:
    """The task that a job works on, which says so itself: an edited dead letter is another job for the same task."""
    own = select(func.cast(JobRow.payload["taskId"].astext, Uuid)).where(JobRow.id == job_id).scalar_subquery()
    found: AiTask | None = await session.scalar(select(AiTask).where(AiTask.id == own))
    return found


async def job_of(session: AsyncSession, task: AiTask) -> JobRow | None:
    """As it is now; None when its month is gone."""
    query = select(JobRow).where(JobRow.id == task.job_id).execution_options(populate_existing=True)
    found: JobRow | None = await session.scalar(query)
    return found


async def add_tries(session: AsyncSession, tasks: Iterable[AiTask]) -> None:
    """Let each task know its `tries`."""
    by_job = {task.job_id: task for task in tasks}
    columns = (JobRow.id, JobRow.state, JobRow.attempts_made, JobRow.max_attempts, JobRow.run_at)
    for row in await session.execute(select(*columns).where(JobRow.id.in_(by_job))):
        next_at = row.run_at if row.state == State.RETRYING else None
        failed = row.attempts_made - (row.state == State.COMPLETED)  # the last of those did not fail
        by_job[row.id].tries = Tries(failed, row.max_attempts, next_at)


@dataclass(frozen=True, slots=True)
class Names:
    """What pages show beside ids. Titles also of articles that were deleted; tenants all, in the order of names."""

    articles: dict[UUID, str]
    tenants: dict[UUID, str]


async def names(session: AsyncSession, tasks: Iterable[AiTask]) -> Names:
    """Articles and tenants of these tasks."""
    return Names(await titles(session, {task.article_id for task in tasks}), await tenant_names(session))


async def about_jobs(session: AsyncSession, jobs: Collection[UUID]) -> dict[UUID, tuple[str, str]]:
    """The title of the article that a job is to summarise, and where its task is shown."""
    query = select(AiTask.id, AiTask.job_id, _ARTICLE.c.title).join(_ARTICLE, _ARTICLE.c.id == AiTask.article_id)
    rows = await session.execute(query.where(AiTask.job_id.in_(jobs)))
    return {row.job_id: (row.title, f"/ai/tasks/{row.id}") for row in rows}


async def signs(session: AsyncSession) -> list[Sign]:
    """Whether the provider answers, by the newest result of the job that asks it each minute."""
    query = select(JobRow.result).where(
        JobRow.queue == ProbeProvider.queue,
        JobRow.kind == ProbeProvider.kind,
        JobRow.state == State.COMPLETED,
        JobRow.finished_at > func.now() - PROBED,
    )
    found = await session.scalar(query.order_by(JobRow.id.desc()).limit(1))
    part, here = "AI provider", "/schedules"
    if not isinstance(found, dict):
        return [Sign(part, "not asked", "The AI provider was not asked for ten minutes", Weight.OK, here)]
    name, error = found["provider"], found["error"]
    if error:
        return [Sign(part, "away", f"The AI provider {name} does not answer: {error}", Weight.BAD, here)]
    return [Sign(part, name, f"The AI provider {name} is there", Weight.OK, here)]
