"""`/api/v1/ai` and `/api/v1/articles/{id}/summaries`, for tenants' apps; `/api/owner/ai`, for the owner."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.etag import etag
from app.core.moments import moment
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.queries import one_of, uuid_of
from app.modules.ai.models import AiTask, TaskStatus
from app.modules.ai.permissions import READ, RUN
from app.modules.ai.repository import TaskFilter
from app.modules.ai.schemas import (
    AI_ANSWERS,
    AiTaskOwned,
    AiTaskOwnedPage,
    AiTaskPage,
    AiTaskRead,
    Kind,
    SummaryRequest,
    SummaryWanted,
    TaskRequest,
    read,
)
from app.modules.ai.service import SORTS, AiService

Text = str | None
Tenant = Annotated[Text, QueryParameter(name="tenantId")]
Article = Annotated[Text, QueryParameter(name="articleId")]
Since = Annotated[Text, QueryParameter(name="from")]
Until = Annotated[Text, QueryParameter(name="to")]


def provide_ai(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> AiService:
    return AiService(session, actor)


def provide_task_filter(
    status: FromQuery[Text] = None,
    kind: FromQuery[Text] = None,
    tenant: Tenant = None,
    article: Article = None,
    since: Since = None,
    until: Until = None,
) -> TaskFilter:
    """The filters of the address; an empty one is none, as browsers send it.

    Raises:
        Invalid: naming the parameter.
    """
    return TaskFilter(
        one_of("status", status, TaskStatus),
        uuid_of("tenantId", tenant),
        uuid_of("articleId", article),
        one_of("kind", kind, Kind),
        moment("from", since),
        moment("to", until, end=True),
    )


class SummaryController(Controller):
    path = "/articles/{article_id:uuid}/summaries"

    @post("/", permission=RUN, audit="ai.task.start", status_code=202, cost=5)
    async def request(
        self, article_id: FromPath[UUID], ai: NamedDependency[AiService], data: JSONBody[SummaryRequest | None] = None
    ) -> Response[AiTaskRead]:
        """Ask for the summary of an article. `Location` is the task's address; while one is unfinished, that one's."""
        task = await ai.start(SummaryWanted(article_id=article_id))
        return _answer(task, 202, {"Location": f"/api/v1/ai/tasks/{task.id}"})


class AiTaskController(Controller):
    path = "/ai/tasks"

    @post("/", permission=RUN, audit="ai.task.start", status_code=202, cost=5)
    async def start(self, data: JSONBody[TaskRequest], ai: NamedDependency[AiService]) -> Response[AiTaskRead]:
        """Ask for a task of a kind on an article. While the very same one is unfinished, that one is the answer."""
        task = await ai.start(data)
        return _answer(task, 202, {"Location": f"/api/v1/ai/tasks/{task.id}"})

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        ai: NamedDependency[AiService],
        pager: NamedDependency[Pager],
        status: FromQuery[Text] = None,
        kind: FromQuery[Text] = None,
        article: Article = None,
        since: Since = None,
        until: Until = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> AiTaskPage:
        """List AI tasks, newest first unless `sort=createdAt`."""
        wanted = provide_task_filter(status, kind, None, article, since, until)
        return read(await ai.tasks(pager, wanted, limit=limit, cursor=cursor), AiTaskPage)

    @get("/{task_id:uuid}", permission=READ)
    async def show(self, task_id: FromPath[UUID], ai: NamedDependency[AiService]) -> Response[AiTaskRead]:
        """Read one AI task, with what came of it."""
        return _answer(await ai.task(task_id), 200, {})

    @post("/{task_id:uuid}/cancellation", permission=RUN, audit="ai.task.cancel", status_code=202)
    async def cancel(self, task_id: FromPath[UUID], ai: NamedDependency[AiService]) -> Response[AiTaskRead]:
        """Cancel a task: what waits ends at once, what runs as soon as its worker has stopped it. 409 once it ended."""
        return _answer(await ai.cancel(task_id), 202, {})

    @post("/{task_id:uuid}/retry", permission=RUN, audit="ai.task.retry", status_code=202)
    async def retry(self, task_id: FromPath[UUID], ai: NamedDependency[AiService]) -> Response[AiTaskRead]:
        """Begin again with a task that has failed or was cancelled. 409 for any other."""
        return _answer(await ai.retry(task_id), 202, {})


class OwnerAiController(Controller):
    path = "/ai"

    @get("/tasks", permission=READ, sorts=SORTS, cached=AI_ANSWERS)
    async def tasks(
        self,
        ai: NamedDependency[AiService],
        pager: NamedDependency[Pager],
        wanted_tasks: NamedDependency[TaskFilter],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> AiTaskOwnedPage:
        """List all tenants' AI tasks, newest first unless `sort=createdAt`."""
        return read(await ai.tasks(pager, wanted_tasks, limit=limit, cursor=cursor), AiTaskOwnedPage)

    @get("/tasks/{task_id:uuid}", permission=READ)
    async def show(self, task_id: FromPath[UUID], ai: NamedDependency[AiService]) -> AiTaskOwned:
        """Read one AI task of any tenant."""
        return read(await ai.task(task_id), AiTaskOwned)

    @post("/tasks/{task_id:uuid}/cancellation", permission=RUN, audit="ai.task.cancel", status_code=202)
    async def cancel(self, task_id: FromPath[UUID], ai: NamedDependency[AiService]) -> AiTaskOwned:
        """Cancel a tenant's task. 409 once it has ended."""
        return read(await ai.cancel(task_id), AiTaskOwned)

    @post("/tasks/{task_id:uuid}/retry", permission=RUN, audit="ai.task.retry", status_code=202)
    async def retry(self, task_id: FromPath[UUID], ai: NamedDependency[AiService]) -> AiTaskOwned:
        """Begin again with a tenant's task that has failed or was cancelled. 409 for any other."""
        return read(await ai.retry(task_id), AiTaskOwned)


def _answer(task: AiTask, status: int, headers: dict[str, str]) -> Response[AiTaskRead]:
    return Response(read(task, AiTaskRead), status_code=status, headers=etag(task.version) | headers)
