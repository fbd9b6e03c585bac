"""`/api/v1/reports`, for tenants' apps; `/api/owner/reports`, for the owner."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.moments import moment
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.queries import one_of, uuid_of
from app.modules.reports.permissions import READ
from app.modules.reports.repository import ReportFilter
from app.modules.reports.schemas import (
    REPORT_ANSWERS,
    ReportKind,
    ReportOwned,
    ReportOwnedPage,
    ReportPage,
    ReportRead,
    owned,
    read,
)
from app.modules.reports.service import SORTS, ReportService

Text = str | None
Tenant = Annotated[Text, QueryParameter(name="tenantId")]
Article = Annotated[Text, QueryParameter(name="articleId")]
Since = Annotated[Text, QueryParameter(name="from")]
Until = Annotated[Text, QueryParameter(name="to")]


def provide_reports(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> ReportService:
    return ReportService(session, actor)


def provide_filter(
    kind: FromQuery[Text] = None,
    tenant: Tenant = None,
    article: Article = None,
    since: Since = None,
    until: Until = None,
) -> ReportFilter:
    """The filters of the address; an empty one is none, as browsers send it.

    Raises:
        Invalid: naming the parameter.
    """
    return ReportFilter(
        one_of("kind", kind, ReportKind),
        uuid_of("tenantId", tenant),
        uuid_of("articleId", article),
        moment("from", since),
        moment("to", until, end=True),
    )


class ReportController(Controller):
    path = "/reports"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        reports: NamedDependency[ReportService],
        pager: NamedDependency[Pager],
        kind: FromQuery[Text] = None,
        article: Article = None,
        since: Since = None,
        until: Until = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> ReportPage:
        """List reports on articles, newest first."""
        wanted = provide_filter(kind, None, article, since, until)
        page = (await reports.search(pager, wanted, limit=limit, cursor=cursor)).map(read)
        return ReportPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{report_id:uuid}", permission=READ)
    async def show(self, report_id: FromPath[UUID], reports: NamedDependency[ReportService]) -> ReportRead:
        """Read one report, with its findings and the numbers behind them."""
        return read(await reports.get(report_id))


class OwnerReportController(Controller):
    path = "/reports"

    @get("/", permission=READ, sorts=SORTS, cached=REPORT_ANSWERS)
    async def index(
        self,
        reports: NamedDependency[ReportService],
        pager: NamedDependency[Pager],
        wanted: NamedDependency[ReportFilter],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> ReportOwnedPage:
        """List the reports on all tenants' articles, newest first."""
        page = (await reports.search(pager, wanted, limit=limit, cursor=cursor)).map(owned)
        return ReportOwnedPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{report_id:uuid}", permission=READ)
    async def show(self, report_id: FromPath[UUID], reports: NamedDependency[ReportService]) -> ReportOwned:
        """Read one report on an article of any tenant."""
        return owned(await reports.get(report_id))
