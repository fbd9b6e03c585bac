"""Events: what readers do, told by tenants' apps."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.events import permissions
from app.modules.events.controllers import EventController, OwnerEventController
from app.modules.events.pages import EventPages
from app.modules.events.schemas import EVENT_ANSWERS, EventQuery
from app.modules.events.service import EventLog, Intake


def provide_intake(session: NamedDependency[AsyncSession]) -> Intake:
    return Intake(session)


def provide_event_log(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> EventLog:
    return EventLog(session, actor)


def provide_query(
    name: FromQuery[str | None] = None,
    path: FromQuery[str | None] = None,
    referrer: FromQuery[str | None] = None,
    country: FromQuery[str | None] = None,
    device: FromQuery[str | None] = None,
    tenant_id: Annotated[str | None, QueryParameter(name="tenantId")] = None,
    article_id: Annotated[str | None, QueryParameter(name="articleId")] = None,
    utm_source: Annotated[str | None, QueryParameter(name="utmSource")] = None,
    user_id: Annotated[str | None, QueryParameter(name="userId")] = None,
    is_bot: Annotated[str | None, QueryParameter(name="isBot")] = None,
    since: Annotated[str | None, QueryParameter(name="from")] = None,
    until: Annotated[str | None, QueryParameter(name="to")] = None,
) -> EventQuery:
    # As text: a provider that raises would leave the request's session to the garbage collector.
    return EventQuery(
        name=name,
        path=path,
        referrer=referrer,
        country=country,
        device=device,
        tenant_id=tenant_id,
        article_id=article_id,
        utm_source=utm_source,
        user_id=user_id,
        is_bot=is_bot,
        since=since,
        until=until,
    )


events = Module(
    name="events",
    api=[EventController],
    owner_api=[OwnerEventController],
    pages=[EventPages],
    member_pages=[EventPages],
    providers={"intake": provide_intake, "event_log": provide_event_log, "asked_events": provide_query},
    permissions=permissions.ALL,
    navigation=[NavigationItem("Content", "Events", "/events", "list", permissions.READ, 39)],
    caches=[EVENT_ANSWERS],
    months={"analytics_event": "analytics_retention_months"},
)
