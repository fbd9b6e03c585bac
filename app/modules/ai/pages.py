"""`/dashboard/owner/ai/runs` and `/dashboard/owner/ai/tasks`: what AI does for all tenants."""

from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.access import tell
from app.core.paging import Page, Pager
from app.core.templating import PREFIX, render, state_label
from app.modules.ai import repository
from app.modules.ai.jobs import SummarizeArticle
from app.modules.ai.models import AiRun, AiTask, RunStatus, TaskStatus
from app.modules.ai.permissions import READ
from app.modules.ai.repository import EntryFilter, RunFilter, TaskFilter
from app.modules.ai.schemas import RUN_SEEN, AiRunRead, AiTaskOwned, read
from app.modules.ai.service import AiService

RUNS, TASKS = f"{PREFIX}/ai/runs", f"{PREFIX}/ai/tasks"
FILTERS = ("status", "tenantId", "taskId", "articleId")
MOST = 100  # entries that a drawer shows
AnyRequest = Request[Any, Any, Any]


class AiPages(Controller):
    path = "/ai"

    @get("/runs", permission=READ)
    async def runs(
        self,
        request: AnyRequest,
        ai: NamedDependency[AiService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        wanted_runs: NamedDependency[RunFilter],
        cursor: FromQuery[str] = "",
    ) -> Template:
        page = await ai.runs(pager, wanted_runs, cursor=cursor or None)
        context = _list(request, RUNS, page, RunStatus) | {"names": await repository.names(session, runs=page.items)}
        return render(request, "ai/runs.html", context, fragment="ai/_runs.html")

    @get("/runs/{run_id:uuid}", permission=READ, access=RUN_SEEN)
    async def run(
        self,
        request: AnyRequest,
        run_id: FromPath[UUID],
        ai: NamedDependency[AiService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        part: FromQuery[bool] = False,
    ) -> Template:
        """The drawer, or with `part` what in it keeps itself current."""
        run, wanted = await ai.run(run_id), EntryFilter(run_id=run_id)
        tell(request, tenant_id=run.tenant_id)
        messages = await ai.messages(pager, wanted, limit=MOST)
        events = await ai.events(pager, wanted, limit=MOST)
        context = {
            "path": RUNS,
            "run": run,
            "names": await repository.names(session, runs=[run]),
            "messages": [*reversed(messages.items)],
            "events": [*reversed(events.items)],
            "plain": msgspec.to_builtins(read(run, AiRunRead)),
        }
        return render(request, "ai/run.html", context, fragment="ai/_run.html" if part else "ai/_run_drawer.html")

    @get("/tasks", permission=READ)
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
        context = _list(request, TASKS, page, TaskStatus) | {"names": await repository.names(session, tasks=page.items)}
        return render(request, "ai/tasks.html", context, fragment="ai/_tasks.html")

    @get("/tasks/{task_id:uuid}", permission=READ)
    async def task(
        self,
        request: AnyRequest,
        task_id: FromPath[UUID],
        ai: NamedDependency[AiService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        part: FromQuery[bool] = False,
    ) -> Template:
        """The drawer, or with `part` what in it keeps itself current."""
        task = await ai.task(task_id)
        runs = await ai.runs(pager, RunFilter(task_id=task_id), limit=MOST)
        context = {
            "path": TASKS,
            "task": task,
            "runs": runs.items,
            "queue": SummarizeArticle.queue,
            "names": await repository.names(session, tasks=[task]),
            "plain": msgspec.to_builtins(read(task, AiTaskOwned)),
        }
        return render(request, "ai/task.html", context, fragment="ai/_task.html" if part else "ai/_task_drawer.html")


def _list(request: AnyRequest, path: str, page: Page[AiRun] | Page[AiTask], kinds: type[StrEnum]) -> dict[str, Any]:
    query = {name: request.query_params[name] for name in (*FILTERS, "cursor") if request.query_params.get(name)}
    return {
        "path": path,
        "page": page,
        "here": query,
        "params": {name: value for name, value in query.items() if name != "cursor"},
        "statuses": [(kind, state_label(kind).capitalize()) for kind in kinds],
    }
