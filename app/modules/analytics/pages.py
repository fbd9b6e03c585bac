"""`/analytics` in the dashboards: what readers do, of one tenant or of all; each number leads to its events."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.response import Template
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Invalid
from app.core.settings import Settings
from app.core.templating import prefix_of, render
from app.modules.analytics.models import Dimension, Grain, Metric
from app.modules.analytics.permissions import READ
from app.modules.analytics.schemas import AnalyticsQuery, ArticleStats, Asked, Point
from app.modules.analytics.service import Reports
from app.modules.tenants.service import tenant_names

AnyRequest = Request[Any, Any, Any]
PATH = "/analytics"
FILTERS = ("tenantId", "from", "to", "metric", "grain")
MOST_PARTS = 8
LABELS = {
    Metric.VIEWS: "Views",
    Metric.VISITORS: "Visitors",
    Metric.VISITS: "Visits",
    Metric.EVENTS: "Events",
    Metric.BOTS: "Bots",
}
PANELS = {
    Dimension.PATH: "Pages",
    Dimension.REFERRER: "Referrers",
    Dimension.COUNTRY: "Countries",
    Dimension.DEVICE: "Devices",
    Dimension.SOURCE: "Campaign sources",
    Dimension.NAME: "Kinds of events",
}


class AnalyticsPages(Controller):
    path = PATH

    @get("/", permission=READ)
    async def index(
        self,
        request: AnyRequest,
        session: NamedDependency[AsyncSession],
        settings: NamedDependency[Settings],
        reports: NamedDependency[Reports],
        asked: NamedDependency[AnalyticsQuery],
    ) -> Template:
        params = {name: request.query_params[name] for name in FILTERS if request.query_params.get(name)}
        context = {
            "path": prefix_of(request) + PATH,
            "params": params,
            "tenants": await tenant_names(session),
            "events_address": f"{settings.base_url}/api/v1/events",
            "labels": LABELS,
            "refused": None,
        }
        try:
            context |= await _figures(reports, asked.asked(), prefix_of(request))
        except Invalid as problem:  # shown where the figures would be
            context |= {"refused": problem.detail}
        status = 422 if context["refused"] else 200
        return render(request, "analytics/index.html", context, fragment="analytics/_index.html", status=status)


async def _figures(reports: Reports, asked: Asked, prefix: str) -> dict[str, Any]:
    series = await reports.series(asked)
    first, last = series.points[0], series.points[-1]
    links = Links(prefix, asked, first.bucket, last.end)
    panels = []
    for dimension, title in PANELS.items():
        parts = await reports.breakdown(replace(asked, dimension=dimension), MOST_PARTS)
        rows = [(part.value, part.count, links.where({dimension.value: part.value})) for part in parts.items]
        panels.append((title, rows))
    points = [
        {
            "label": _label(point, asked.grain),
            "title": _title(point, asked.grain),
            "value": point.value,
            "href": links.of(point),
        }
        for point in series.points
    ]
    articles = await reports.articles(asked, MOST_PARTS)
    return {
        "series": series,
        "asked": asked,
        "points": points,
        "totals": await reports.totals(asked),
        "panels": panels,
        "articles": [(one, links.where(_article(one))) for one in articles],
    }


class Links:
    """Addresses of the events behind a number."""

    def __init__(self, prefix: str, asked: Asked, since: datetime, until: datetime) -> None:
        self._path = f"{prefix}/events"
        self._span = (since, until)
        bots = asked.metric is Metric.BOTS
        self._fixed = {"isBot": "true" if bots else "false"}
        if asked.tenant_id is not None:
            self._fixed["tenantId"] = str(asked.tenant_id)
        if asked.metric is Metric.VIEWS:
            self._fixed["name"] = "page_view"

    def of(self, point: Point) -> str:
        """The events of a bucket."""
        return self._to((point.bucket, point.end), {})

    def where(self, fits: dict[str, str]) -> str:
        """The events of the whole time that fit."""
        return self._to(self._span, fits)

    def _to(self, span: tuple[datetime, datetime], fits: dict[str, str]) -> str:
        since, until = (f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for moment in span)
        moments = {"from": since, "to": until}
        return f"{self._path}?{urlencode(self._fixed | fits | moments)}"


def _article(one: ArticleStats) -> dict[str, str]:
    return {"articleId": str(one.article_id), "tenantId": str(one.tenant_id), "name": "page_view", "isBot": "false"}


def _label(point: Point, grain: Grain) -> str:
    return f"{point.day:%-d %b}" if grain is Grain.DAY else f"{point.bucket:%-d %b %H:%M}"


def _title(point: Point, grain: Grain) -> str:
    return f"{point.day:%a %-d %b %Y}" if grain is Grain.DAY else f"{point.bucket:%a %-d %b %Y %H:%M} UTC"
