"""`/ai/runs`, `/ai/tasks` and `/ai/event-logs` in the dashboards: what AI does, for all tenants and for one."""

import json
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.access import tell
from app.core.database import Plane
from app.core.paging import Page, Pager
from app.core.policy import Actor
from app.core.templating import prefix_of, render, state_label
from app.modules.ai import repository
from app.modules.ai.models import AiTask, RunStatus, TaskStatus
from app.modules.ai.permissions import READ, RUN
from app.modules.ai.repository import EntryFilter, RunFilter, TaskFilter
from app.modules.ai.schemas import RUN_SEEN, AiEventRead, AiRunRead, AiTaskOwned, AiTaskRead, Kind, Level, read
from app.modules.ai.service import JOBS, AiService

RUNS, TASKS, EVENTS, USAGE = "/ai/runs", "/ai/tasks", "/ai/event-logs", "/ai/usage"
FILTERS = ("status", "kind", "level", "type", "tenantId", "taskId", "runId", "articleId", "from", "to")
EVENT_TYPES = ("run.started", "provider.answered", "run.completed", "run.failed", "run.interrupted")
MOST = 100  # entries that a drawer shows
AnyRequest = Request[Any, Any, Any]


class RunPages(Controller):
    """The platform's alone: a run tells what a provider answered."""

    path = RUNS

    @get("/", permission=READ)
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

    @get("/{run_id:uuid}", permission=READ, access=RUN_SEEN)
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
            "path": prefix_of(request) + RUNS,
            "run": run,
            "names": await repository.names(session, runs=[run]),
            "messages": [*reversed(messages.items)],
            "events": [*reversed(events.items)],
            "plain": msgspec.to_builtins(read(run, AiRunRead)),
        }
        return render(request, "ai/run.html", context, fragment="ai/_run.html" if part else "ai/_run_drawer.html")


class TaskPages(Controller):
    path = TASKS

    @get("/", permission=READ)
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
        context = _list(request, TASKS, page, TaskStatus) | {
            "names": await repository.names(session, tasks=page.items),
            "kinds": [(kind, kind) for kind in Kind],
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
        return await _task(request, actor, ai, session, pager, task, "_task" if part else "_task_drawer")

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
        answer = await _task(request, actor, ai, session, pager, task, "_task")
        return _told(answer, "The task is cancelled." if ended else "Its worker was told to stop.")

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
        return _told(await _task(request, actor, ai, session, pager, task, "_task"), "The task begins again.")


class EventPages(Controller):
    """The platform's alone, as runs are."""

    path = EVENTS

    @get("/", permission=READ)
    async def events(
        self,
        request: AnyRequest,
        ai: NamedDependency[AiService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        wanted_entries: NamedDependency[EntryFilter],
        cursor: FromQuery[str] = "",
    ) -> Template:
        page = await ai.events(pager, wanted_entries, cursor=cursor or None)
        runs = await repository.runs_of(session, {event.run_id for event in page.items})
        context = _list(request, EVENTS, page, RunStatus) | {
            "runs": runs,
            "names": await repository.names(session, runs=runs.values()),
            "levels": [(level, level.capitalize()) for level in Level],
            "types": [(type_, type_) for type_ in EVENT_TYPES],
        }
        return render(request, "ai/events.html", context, fragment="ai/_events.html")

    @get("/{event_id:uuid}", permission=READ)
    async def event(
        self,
        request: AnyRequest,
        event_id: FromPath[UUID],
        ai: NamedDependency[AiService],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        event = await ai.event(event_id)
        runs = await repository.runs_of(session, {event.run_id})
        context = {
            "path": prefix_of(request) + EVENTS,
            "event": event,
            "run": runs.get(event.run_id),
            "names": await repository.names(session, runs=runs.values()),
            "plain": msgspec.to_builtins(read(event, AiEventRead)),
        }
        return render(request, "ai/event.html", context, fragment="ai/_event_drawer.html")


class UsagePages(Controller):
    path = USAGE

    @get("/", permission=READ)
    async def usage(
        self,
        request: AnyRequest,
        ai: NamedDependency[AiService],
        session: NamedDependency[AsyncSession],
        month: FromQuery[str] = "",
    ) -> Template:
        shown, items = await ai.usage(month or None)
        context = {
            "path": prefix_of(request) + USAGE,
            "month": shown,
            "items": items,
            "names": await repository.names(session),
            "here": {"month": month} if month else {},
        }
        return render(request, "ai/usage.html", context, fragment="ai/_usage.html")


async def _task(
    request: AnyRequest,
    actor: Actor,
    ai: AiService,
    session: AsyncSession,
    pager: Pager,
    task: AiTask,
    fragment: str,
) -> Template:
    runs = await ai.runs(pager, RunFilter(task_id=task.id), limit=MOST)
    shown = AiTaskOwned if actor.plane is Plane.PLATFORM else AiTaskRead
    context = {
        "path": prefix_of(request) + TASKS,
        "task": task,
        "runs": runs.items,
        "queue": JOBS[task.kind].queue if task.kind in JOBS else "",
        "names": await repository.names(session, tasks=[task]),
        "plain": msgspec.to_builtins(read(task, shown)),
    }
    return render(request, "ai/task.html", context, fragment=f"ai/{fragment}.html")


def _told(answer: Template, message: str) -> Template:
    answer.headers["HX-Trigger"] = json.dumps({"toast": {"message": message, "tone": "ok"}})
    return answer


def _list(request: AnyRequest, path: str, page: Page[Any], kinds: type[StrEnum]) -> dict[str, Any]:
    query = {name: request.query_params[name] for name in (*FILTERS, "cursor") if request.query_params.get(name)}
    return {
        "path": prefix_of(request) + path,
        "page": page,
        "here": query,
        "params": {name: value for name, value in query.items() if name != "cursor"},
        "statuses": [(kind, state_label(kind).capitalize()) for kind in kinds],
    }
