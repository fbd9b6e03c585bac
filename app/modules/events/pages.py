"""`/events` in the dashboards: what readers did, one by one."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Invalid, NotFound
from app.core.paging import Page, Pager
from app.core.policy import Actor
from app.core.queries import columns
from app.core.templating import prefix_of, render
from app.modules.audit.service import tenant_names as tenant_names_of
from app.modules.events.models import AnalyticsEvent
from app.modules.events.permissions import READ
from app.modules.events.schemas import EventQuery, read
from app.modules.events.service import SORTS, EventLog
from app.modules.tenants.service import tenant_names

AnyRequest = Request[Any, Any, Any]
PATH = "/events"
FILTERS = columns(EventQuery)


class EventPages(Controller):
    path = PATH

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        event_log: NamedDependency[EventLog],
        session: NamedDependency[AsyncSession],
        asked_events: NamedDependency[EventQuery],
        pager: NamedDependency[Pager],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        page: Page[AnalyticsEvent]
        refused: str | None
        try:
            page, refused = await event_log.search(pager, asked_events.filter(), cursor=cursor), None
        except Invalid as problem:  # shown where the rows would be: rows that nobody asked for would mislead
            page, refused = Page([], None, None), problem.detail
        context = {
            "path": prefix_of(request) + PATH,
            "page": page,
            "refused": refused,
            "tenants": await tenant_names(session),
            "cursor": cursor,
            "params": {name: request.query_params[name] for name in FILTERS if request.query_params.get(name)}
            | pager.order,
        }
        status = 422 if refused else 200
        return render(request, "events/index.html", context, fragment="events/_list.html", status=status)

    @get("/{event_id:uuid}", permission=READ)
    async def event(
        self,
        request: AnyRequest,
        actor: NamedDependency[Actor],
        event_log: NamedDependency[EventLog],
        session: NamedDependency[AsyncSession],
        event_id: FromPath[UUID],
        day: FromQuery[str] = "",
        of: FromQuery[str] = "",
    ) -> Template:
        """The drawer; the owner says by `of` whose event it is."""
        try:
            tenant_id = UUID(of) if of else actor.tenant_id
        except ValueError:
            raise NotFound("There is no such event") from None
        row = await event_log.get(tenant_id, day, event_id)
        context = {
            "path": prefix_of(request) + PATH,
            "event": row,
            "tenants": await tenant_names_of(session, [row.tenant_id]),
            "plain": msgspec.to_builtins(read(row)),
        }
        return render(request, "events/event.html", context, fragment="events/_drawer.html")
