"""Analytics: readers' events, counted by the hour and by the day."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.analytics import permissions
from app.modules.analytics.controllers import AnalyticsController, OwnerAnalyticsController
from app.modules.analytics.jobs import AggregateDaily, AggregateHourly
from app.modules.analytics.pages import AnalyticsPages
from app.modules.analytics.processor import aggregate_daily, aggregate_hourly
from app.modules.analytics.schemas import ANALYTICS_ANSWERS, AnalyticsQuery
from app.modules.analytics.service import TOPIC, Reports, days_begin_elsewhere, mark_hours
from app.modules.events.events import EventsTaken
from app.modules.tenants.events import TimezoneChanged
from app.queues.schedules import Schedule
from app.queues.timing import Timing


def provide_reports(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> Reports:
    return Reports(session, actor)


def provide_query(
    metric: FromQuery[str | None] = None,
    grain: FromQuery[str | None] = None,
    dimension: FromQuery[str | None] = None,
    value: FromQuery[str | None] = None,
    tenant_id: Annotated[str | None, QueryParameter(name="tenantId")] = None,
    since: Annotated[str | None, QueryParameter(name="from")] = None,
    until: Annotated[str | None, QueryParameter(name="to")] = None,
) -> AnalyticsQuery:
    # As text: a provider that raises would leave the request's session to the garbage collector.
    return AnalyticsQuery(
        metric=metric,
        grain=grain,
        dimension=dimension,
        value=value,
        tenant_id=tenant_id,
        since=since,
        until=until,
    )


analytics = Module(
    name="analytics",
    api=[AnalyticsController],
    owner_api=[OwnerAnalyticsController],
    pages=[AnalyticsPages],
    member_pages=[AnalyticsPages],
    providers={"reports": provide_reports, "asked": provide_query},
    processors=[aggregate_hourly, aggregate_daily],
    subscribers=[(EventsTaken, mark_hours), (TimezoneChanged, days_begin_elsewhere)],
    schedules=[
        Schedule("aggregate-hourly", Timing(every_s=60), AggregateHourly()),
        Schedule("aggregate-daily", Timing(every_s=300), AggregateDaily()),
    ],
    permissions=permissions.ALL,
    actions=["analytics.rebuild"],
    caches=[ANALYTICS_ANSWERS],
    navigation=[NavigationItem("Content", "Analytics", "/analytics", "chart-bar", permissions.READ, 37)],
    topics=[Topic(TOPIC, permissions.READ)],
)
