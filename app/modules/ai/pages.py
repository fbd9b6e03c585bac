"""`/ai/tasks` in the dashboards: what was asked of AI, for all tenants and for one."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.templating import kind_label, prefix_of, render, state_label, told
from app.modules.ai import repository
from app.modules.ai.models import AiTask, TaskStatus
from app.modules.ai.permissions import READ, RUN
from app.modules.ai.repository import TaskFilter
from app.modules.ai.schemas import AiTaskOwned, AiTaskRead, Kind, read
from app.modules.ai.service import JOBS, SORTS, AiService
from app.modules.runs.service import Runs

TASKS = "/ai/tasks"
FILTERS = ("status", "kind", "tenantId", "articleId", "from", "to", "sort")
MOST_RUNS = 100  # that a drawer shows
AnyRequest = Request[Any, Any, Any]


class TaskPages(Controller):
    path = TASKS

    @get("/", permission=READ, sorts=SORTS)
    async def tasks(
        self,
        request: AnyRequest,
        ai: NamedDependency[AiService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        wanted_tasks: NamedDependency[TaskFilter],
        cursor: FromQuery[str] = "",
    ) -> Template:
        page = await ai.tasks(pager, wanted_tasks, cursor=cursor or None)
        query = {name: request.query_params[name] for name in (*FILTERS, "cursor") if request.query_params.get(name)}
        context = {
            "path": prefix_of(request) + TASKS,
            "page": page,
            "here": query,
            "params": {name: value for name, value in query.items() if name != "cursor"},
            "statuses": [(status, state_label(status).capitalize()) for status in TaskStatus],
            "names": await repository.names(session, page.items),
            "kinds": [(kind, kind_label(kind)) for kind in Kind],
        }
        return render(request, "ai/tasks.html", context, fragment="ai/_tasks.html")

    @get("/{task_id:uuid}", permission=READ)
    async def task(
        self,
        request: AnyRequest,
        task_id: FromPath[UUID],
        actor: NamedDependency[Actor],
        ai: NamedDependency[AiService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        part: FromQuery[bool] = False,
    ) -> Template:
        """The drawer, or with `part` what in it keeps itself current."""
        task = await ai.task(task_id)
        return await _task(request, actor, session, pager, task, "_task" if part else "_task_drawer")

    @post("/{task_id:uuid}/cancellation", permission=RUN, audit="ai.task.cancel", status_code=200)
    async def cancel(
        self,
        request: AnyRequest,
        task_id: FromPath[UUID],
        actor: NamedDependency[Actor],
        ai: NamedDependency[AiService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
    ) -> Template:
        task = await ai.cancel(task_id)
        ended = task.status == TaskStatus.CANCELLED
        answer = await _task(request, actor, session, pager, task, "_task")
        return told(answer, "The task is cancelled." if ended else "Its worker was told to stop.")

    @post("/{task_id:uuid}/retry", permission=RUN, audit="ai.task.retry", status_code=200)
    async def retry(
        self,
        request: AnyRequest,
        task_id: FromPath[UUID],
        actor: NamedDependency[Actor],
        ai: NamedDependency[AiService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
    ) -> Template:
        task = await ai.retry(task_id)
        return told(await _task(request, actor, session, pager, task, "_task"), "The task begins again.")


async def _task(
    request: AnyRequest,
    actor: Actor,
    session: AsyncSession,
    pager: Pager,
    task: AiTask,
    fragment: str,
) -> Template:
    runs = await Runs(session).of_task(pager, task.id, limit=MOST_RUNS)
    shown = AiTaskOwned if actor.plane is Plane.PLATFORM else AiTaskRead
    context = {
        "path": prefix_of(request) + TASKS,
        "task": task,
        "runs": runs.items,
        "queue": JOBS[task.kind].queue if task.kind in JOBS else "",
        "names": await repository.names(session, [task]),
        "plain": msgspec.to_builtins(read(task, shown)),
    }
    return render(request, "ai/task.html", context, fragment=f"ai/{fragment}.html")
