"""`/api/v1/articles/{id}/summaries` and `/api/v1/ai`, for tenants' apps; `/api/owner/ai`, for the owner."""

from dataclasses import replace
from enum import StrEnum
from typing import Annotated, TypeVar
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Invalid
from app.core.etag import etag
from app.core.paging import Pager
from app.core.policy import Actor
from app.modules.ai.models import AiTask, RunStatus, TaskStatus
from app.modules.ai.permissions import READ, RUN
from app.modules.ai.repository import EntryFilter, RunFilter, TaskFilter
from app.modules.ai.schemas import (
    MESSAGES_SEEN,
    AiEventPage,
    AiMessagePage,
    AiRunPage,
    AiTaskOwnedPage,
    AiTaskPage,
    AiTaskRead,
    SummaryRequest,
    read,
)
from app.modules.ai.service import AiService

E = TypeVar("E", bound=StrEnum)
Text = str | None
Tenant = Annotated[Text, QueryParameter(name="tenantId")]
Task = Annotated[Text, QueryParameter(name="taskId")]
Run = Annotated[Text, QueryParameter(name="runId")]
Article = Annotated[Text, QueryParameter(name="articleId")]


class Level(StrEnum):
    """How much an event matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def provide_ai(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> AiService:
    return AiService(session, actor)


def provide_task_filter(status: FromQuery[Text] = None, tenant: Tenant = None, article: Article = None) -> TaskFilter:
    """The filters of the address; an empty one is none, as browsers send it. So are the two below.

    Raises:
        Invalid: naming the parameter.
    """
    return TaskFilter(one_of("status", status, TaskStatus), _id("tenantId", tenant), _id("articleId", article))


def provide_run_filter(status: FromQuery[Text] = None, tenant: Tenant = None, task: Task = None) -> RunFilter:
    return RunFilter(one_of("status", status, RunStatus), _id("tenantId", tenant), _id("taskId", task))


def provide_entry_filter(tenant: Tenant = None, task: Task = None, run: Run = None) -> EntryFilter:
    return EntryFilter(_id("tenantId", tenant), _id("taskId", task), _id("runId", run))


class SummaryController(Controller):
    path = "/articles/{article_id:uuid}/summaries"

    @post("/", permission=RUN, audit="ai.summary.request", status_code=202, cost=5)
    async def request(
        self, article_id: FromPath[UUID], ai: NamedDependency[AiService], data: JSONBody[SummaryRequest | None] = None
    ) -> Response[AiTaskRead]:
        """Ask for the summary of an article. `Location` is the task's address; while one is unfinished, that one's."""
        task = await ai.request_summary(article_id)
        return _answer(task, 202, {"Location": f"/api/v1/ai/tasks/{task.id}"})


class AiTaskController(Controller):
    path = "/ai/tasks"

    @get("/", permission=READ)
    async def index(
        self,
        ai: NamedDependency[AiService],
        pager: NamedDependency[Pager],
        status: FromQuery[Text] = None,
        article: Article = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> AiTaskPage:
        """List AI tasks, newest first."""
        wanted = provide_task_filter(status, None, article)
        return read(await ai.tasks(pager, wanted, limit=limit, cursor=cursor), AiTaskPage)

    @get("/{task_id:uuid}", permission=READ)
    async def show(self, task_id: FromPath[UUID], ai: NamedDependency[AiService]) -> Response[AiTaskRead]:
        """Read one AI task, with what came of it."""
        return _answer(await ai.task(task_id), 200, {})


class OwnerAiController(Controller):
    """All lists are newest first."""

    path = "/ai"

    @get("/tasks", permission=READ)
    async def tasks(
        self,
        ai: NamedDependency[AiService],
        pager: NamedDependency[Pager],
        wanted_tasks: NamedDependency[TaskFilter],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> AiTaskOwnedPage:
        """List all tenants' AI tasks, newest first."""
        return read(await ai.tasks(pager, wanted_tasks, limit=limit, cursor=cursor), AiTaskOwnedPage)

    @get("/runs", permission=READ)
    async def runs(
        self,
        ai: NamedDependency[AiService],
        pager: NamedDependency[Pager],
        wanted_runs: NamedDependency[RunFilter],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> AiRunPage:
        """List the runs of AI tasks, newest first."""
        return read(await ai.runs(pager, wanted_runs, limit=limit, cursor=cursor), AiRunPage)

    @get("/messages", permission=READ, access=MESSAGES_SEEN)
    async def messages(
        self,
        ai: NamedDependency[AiService],
        pager: NamedDependency[Pager],
        wanted_entries: NamedDependency[EntryFilter],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> AiMessagePage:
        """List what was said to providers and what they answered, newest first."""
        return read(await ai.messages(pager, wanted_entries, limit=limit, cursor=cursor), AiMessagePage)

    @get("/event-logs", permission=READ)
    async def events(
        self,
        ai: NamedDependency[AiService],
        pager: NamedDependency[Pager],
        wanted_entries: NamedDependency[EntryFilter],
        level: FromQuery[Text] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> AiEventPage:
        """List what happened in AI runs, newest first."""
        wanted = replace(wanted_entries, level=one_of("level", level, Level))
        return read(await ai.events(pager, wanted, limit=limit, cursor=cursor), AiEventPage)


def one_of(field: str, text: Text, kinds: type[E]) -> E | None:
    """
    Raises:
        Invalid: it is none of them.
    """
    if not text:
        return None
    if text not in set(kinds):
        raise Invalid.field(field, f"must be one of {', '.join(kinds)}")
    return kinds(text)


def _id(field: str, text: Text) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise Invalid.field(field, "must be a UUID") from None


def _answer(task: AiTask, status: int, headers: dict[str, str]) -> Response[AiTaskRead]:
    return Response(read(task, AiTaskRead), status_code=status, headers=etag(task.version) | headers)
