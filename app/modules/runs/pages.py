"""`/ai/runs`, `/ai/event-logs` and `/ai/usage` in the dashboards: what AI did, what happened, what it used."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.access import tell
from app.core.paging import Page, Pager
from app.core.queries import uuid_of
from app.core.templating import prefix_of, render, state_label
from app.modules.runs import repository
from app.modules.runs.models import RunStatus
from app.modules.runs.permissions import READ, USE
from app.modules.runs.repository import EntryFilter, RunFilter
from app.modules.runs.schemas import RUN_SEEN, AiEventRead, AiRunRead, By, Level, read
from app.modules.runs.service import EVENT_SORTS, SORTS, Runs
from app.modules.tenants.service import tenant_names

RUNS, EVENTS, USAGE = "/ai/runs", "/ai/event-logs", "/ai/usage"
FILTERS = ("status", "level", "type", "tenantId", "taskId", "runId", "from", "to", "sort")
EVENT_TYPES = ("run.started", "provider.answered", "run.completed", "run.failed", "run.interrupted")
MOST = 100  # entries that a drawer shows
AnyRequest = Request[Any, Any, Any]
Tenant = Annotated[str | None, QueryParameter(name="tenantId")]


class RunPages(Controller):
    """The platform's alone: a run tells what a provider answered."""

    path = RUNS

    @get("/", permission=READ, sorts=SORTS)
    async def runs(
        self,
        request: AnyRequest,
        runs: NamedDependency[Runs],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        wanted_runs: NamedDependency[RunFilter],
        cursor: FromQuery[str] = "",
    ) -> Template:
        page = await runs.runs(pager, wanted_runs, cursor=cursor or None)
        context = _list(request, RUNS, page) | {"names": await repository.names(session, page.items)}
        return render(request, "runs/runs.html", context, fragment="runs/_runs.html")

    @get("/{run_id:uuid}", permission=READ, access=RUN_SEEN)
    async def run(
        self,
        request: AnyRequest,
        run_id: FromPath[UUID],
        runs: NamedDependency[Runs],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        part: FromQuery[bool] = False,
    ) -> Template:
        """The drawer, or with `part` what in it keeps itself current."""
        run, wanted = await runs.run(run_id), EntryFilter(run_id=run_id)
        tell(request, tenant_id=run.tenant_id)
        messages = await runs.messages(pager, wanted, limit=MOST)
        events = await runs.events(pager, wanted, limit=MOST)
        context = {
            "path": prefix_of(request) + RUNS,
            "run": run,
            "names": await repository.names(session, [run]),
            "messages": [*reversed(messages.items)],
            "events": [*reversed(events.items)],
            "plain": msgspec.to_builtins(read(run, AiRunRead)),
        }
        return render(request, "runs/run.html", context, fragment="runs/_run.html" if part else "runs/_run_drawer.html")


class EventPages(Controller):
    """The platform's alone, as runs are."""

    path = EVENTS

    @get("/", permission=READ, sorts=EVENT_SORTS)
    async def events(
        self,
        request: AnyRequest,
        runs: NamedDependency[Runs],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        wanted_entries: NamedDependency[EntryFilter],
        cursor: FromQuery[str] = "",
    ) -> Template:
        page = await runs.events(pager, wanted_entries, cursor=cursor or None)
        known = await repository.runs_of(session, {event.run_id for event in page.items})
        context = _list(request, EVENTS, page) | {
            "runs": known,
            "names": await repository.names(session, known.values()),
            "levels": [(level, level.capitalize()) for level in Level],
            "types": [(type_, type_) for type_ in EVENT_TYPES],
        }
        return render(request, "runs/events.html", context, fragment="runs/_events.html")

    @get("/{event_id:uuid}", permission=READ)
    async def event(
        self,
        request: AnyRequest,
        event_id: FromPath[UUID],
        runs: NamedDependency[Runs],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        event = await runs.event(event_id)
        known = await repository.runs_of(session, {event.run_id})
        context = {
            "path": prefix_of(request) + EVENTS,
            "event": event,
            "run": known.get(event.run_id),
            "names": await repository.names(session, known.values()),
            "plain": msgspec.to_builtins(read(event, AiEventRead)),
        }
        return render(request, "runs/event.html", context, fragment="runs/_event_drawer.html")


class UsagePages(Controller):
    path = USAGE

    @get("/", permission=USE)
    async def usage(
        self,
        request: AnyRequest,
        runs: NamedDependency[Runs],
        session: NamedDependency[AsyncSession],
        month: FromQuery[str] = "",
        tenant: Tenant = None,
    ) -> Template:
        shown, items = await runs.usage(month or None)
        tenant_id = uuid_of("tenantId", tenant)
        parts = {by: (await runs.parts(by, month or None, tenant_id))[1] for by in By}
        here = {"month": month, "tenantId": tenant}
        context = {
            "path": prefix_of(request) + USAGE,
            "month": shown,
            "items": [one for one in items if tenant_id in (None, one.tenant_id)],
            "parts": parts,
            "tenant": tenant or "",
            "tenants": await tenant_names(session),
            "here": {name: value for name, value in here.items() if value},
        }
        return render(request, "runs/usage.html", context, fragment="runs/_usage.html")


def _list(request: AnyRequest, path: str, page: Page[Any]) -> dict[str, Any]:
    query = {name: request.query_params[name] for name in (*FILTERS, "cursor") if request.query_params.get(name)}
    return {
        "path": prefix_of(request) + path,
        "page": page,
        "here": query,
        "params": {name: value for name, value in query.items() if name != "cursor"},
        "statuses": [(status, state_label(status).capitalize()) for status in RunStatus],
    }
