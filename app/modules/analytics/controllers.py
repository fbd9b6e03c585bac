"""`/api/v1/analytics`, for tenants' apps; `/api/owner/analytics`, of one tenant or of all."""

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from app.modules.analytics.permissions import READ
from app.modules.analytics.schemas import (
    ANALYTICS_ANSWERS,
    AnalyticsQuery,
    ArticleStatsList,
    Breakdown,
    ReaderStatsList,
    Series,
)
from app.modules.analytics.service import Reports


class AnalyticsController(Controller):
    """Ranges are days of the tenant's site, `from` and `to` included; without them the last four weeks."""

    path = "/analytics"

    @get("/series", permission=READ)
    async def series(self, reports: NamedDependency[Reports], asked: NamedDependency[AnalyticsQuery]) -> Series:
        """Count over time, by the hour or by the day; of all, or of what has one value of a dimension."""
        return await reports.series(asked.asked())

    @get("/breakdown", permission=READ)
    async def breakdown(
        self,
        reports: NamedDependency[Reports],
        asked: NamedDependency[AnalyticsQuery],
        limit: FromQuery[int] = 25,
    ) -> Breakdown:
        """Divide a count by a dimension: pages, articles, referrers, sources, countries, devices, names of events."""
        return await reports.breakdown(asked.asked(), limit)

    @get("/articles", permission=READ)
    async def articles(
        self,
        reports: NamedDependency[Reports],
        asked: NamedDependency[AnalyticsQuery],
        limit: FromQuery[int] = 25,
    ) -> ArticleStatsList:
        """List the articles that were read most."""
        return ArticleStatsList(items=await reports.articles(asked.asked(), limit))

    @get("/readers", permission=READ)
    async def readers(
        self,
        reports: NamedDependency[Reports],
        asked: NamedDependency[AnalyticsQuery],
        limit: FromQuery[int] = 25,
    ) -> ReaderStatsList:
        """List the signed-in readers who read most."""
        return ReaderStatsList(items=await reports.readers(asked.asked(), limit))


class OwnerAnalyticsController(Controller):
    """Of all tenants together, or of `tenantId`."""

    path = "/analytics"

    @get("/series", permission=READ, cached=ANALYTICS_ANSWERS)
    async def series(self, reports: NamedDependency[Reports], asked: NamedDependency[AnalyticsQuery]) -> Series:
        """Count over time, of all tenants or of one, by the hour or by the day."""
        return await reports.series(asked.asked())

    @get("/breakdown", permission=READ, cached=ANALYTICS_ANSWERS)
    async def breakdown(
        self,
        reports: NamedDependency[Reports],
        asked: NamedDependency[AnalyticsQuery],
        limit: FromQuery[int] = 25,
    ) -> Breakdown:
        """Divide a count of all tenants, or of one, by a dimension."""
        return await reports.breakdown(asked.asked(), limit)

    @get("/articles", permission=READ, cached=ANALYTICS_ANSWERS)
    async def articles(
        self,
        reports: NamedDependency[Reports],
        asked: NamedDependency[AnalyticsQuery],
        limit: FromQuery[int] = 25,
    ) -> ArticleStatsList:
        """List the articles that were read most, of all tenants or of one."""
        return ArticleStatsList(items=await reports.articles(asked.asked(), limit))

    @get("/readers", permission=READ, cached=ANALYTICS_ANSWERS)
    async def readers(
        self,
        reports: NamedDependency[Reports],
        asked: NamedDependency[AnalyticsQuery],
        limit: FromQuery[int] = 25,
    ) -> ReaderStatsList:
        """List the signed-in readers who read most, of all tenants or of one."""
        return ReaderStatsList(items=await reports.readers(asked.asked(), limit))
