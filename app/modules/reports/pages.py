"""`/ai/reports` in the dashboards: what was found in articles, by rules and by models."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.templating import is_htmx, kind_label, prefix_of, render
from app.modules.articles.service import titles
from app.modules.reports.permissions import READ
from app.modules.reports.repository import ReportFilter
from app.modules.reports.schemas import ReportKind, owned, read
from app.modules.reports.service import SORTS, ReportService
from app.modules.tenants.service import tenant_names

AnyRequest = Request[Any, Any, Any]
FILTERS = ("kind", "tenantId", "articleId", "from", "to", "sort")


class ReportPages(Controller):
    path = "/ai/reports"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        reports: NamedDependency[ReportService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        wanted: NamedDependency[ReportFilter],
        cursor: FromQuery[str] = "",
        part: FromQuery[bool] = False,
    ) -> Template:
        """With `part`, for HTMX: what the newest reports on one article say, for its page."""
        if part and wanted.article_id and is_htmx(request.headers):
            state, fragment = request.app.state, "reports/_verdicts.html"
            found = await reports.verdicts(wanted.article_id, state.database, state.cache)
            address = f"{prefix_of(request)}/ai/reports?articleId={wanted.article_id}"
            return render(request, fragment, {"verdicts": found.newest, "address": address}, fragment=fragment)
        page = await reports.search(pager, wanted, cursor=cursor or None)
        params = {name: request.query_params[name] for name in FILTERS if request.query_params.get(name)}
        context = {
            "path": f"{prefix_of(request)}/ai/reports",
            "page": page,
            "params": params,
            "here": params | ({"cursor": cursor} if cursor else {}),
            "kinds": [(kind, kind_label(kind)) for kind in ReportKind],
            "titles": await titles(session, {report.article_id for report in page.items}),
            "tenants": await tenant_names(session),
        }
        return render(request, "reports/index.html", context, fragment="reports/_list.html")

    @get("/{report_id:uuid}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        report_id: FromPath[UUID],
        actor: NamedDependency[Actor],
        reports: NamedDependency[ReportService],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        report = await reports.get(report_id)
        shown = owned if actor.plane is Plane.PLATFORM else read
        context = {
            "path": f"{prefix_of(request)}/ai/reports",
            "report": report,
            "titles": await titles(session, {report.article_id}),
            "tenants": await tenant_names(session),
            "plain": msgspec.to_builtins(shown(report)),
        }
        return render(request, "reports/show.html", context, fragment="reports/_drawer.html")
