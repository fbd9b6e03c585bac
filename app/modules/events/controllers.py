"""`/api/v1/events`: what readers do, told by tenants' apps; `/api/owner/events`, of all tenants."""

from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from app.core.paging import Page, Pager
from app.core.policy import Actor
from app.modules.events.models import AnalyticsEvent
from app.modules.events.permissions import READ, WRITE
from app.modules.events.schemas import (
    EVENT_ANSWERS,
    MOST_BYTES,
    EventBatch,
    EventPage,
    EventQuery,
    EventRead,
    EventReceipt,
    read,
)
from app.modules.events.service import SORTS, EventLog, Intake


class EventController(Controller):
    path = "/events"

    @post("/", permission=WRITE, audit="event.send", status_code=202, request_max_body_size=MOST_BYTES)
    async def send(self, data: JSONBody[EventBatch], intake: NamedDependency[Intake]) -> EventReceipt:
        """Send events: all are taken, or none and the answer names what is wrong. Counted within minutes."""
        taken = await intake.take(data.events)
        return EventReceipt(accepted=taken.accepted, duplicates=taken.duplicates)

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        event_log: NamedDependency[EventLog],
        asked_events: NamedDependency[EventQuery],
        pager: NamedDependency[Pager],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> EventPage:
        """List events, newest first by when they happened."""
        return _page(await event_log.search(pager, asked_events.filter(), limit=limit, cursor=cursor))

    @get("/{event_id:uuid}", permission=READ)
    async def show(
        self,
        actor: NamedDependency[Actor],
        event_log: NamedDependency[EventLog],
        event_id: FromPath[UUID],
        day: FromQuery[str] = "",
    ) -> EventRead:
        """Read one event. `day` is that of its `ts` in UTC: an id is known within its day."""
        return read(await event_log.get(actor.tenant_id, day, event_id))


class OwnerEventController(Controller):
    path = "/events"

    @get("/", permission=READ, sorts=SORTS, cached=EVENT_ANSWERS)
    async def index(
        self,
        event_log: NamedDependency[EventLog],
        asked_events: NamedDependency[EventQuery],
        pager: NamedDependency[Pager],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> EventPage:
        """List all tenants' events, newest first by when they happened."""
        return _page(await event_log.search(pager, asked_events.filter(), limit=limit, cursor=cursor))


def _page(found: Page[AnalyticsEvent]) -> EventPage:
    page = found.map(read)
    return EventPage(items=[*page.items], next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)
