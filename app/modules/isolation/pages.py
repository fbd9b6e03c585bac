"""`/dashboard/owner/isolation`: the proof that tenants are apart, and the button that tries it again."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from app.core.paging import Pager
from app.core.templating import render, told
from app.modules.isolation.permissions import READ, RUN
from app.modules.isolation.schemas import IsolationRunDetail, Result, read
from app.modules.isolation.service import IsolationService

AnyRequest = Request[Any, Any, Any]


class IsolationPages(Controller):
    path = "/isolation"

    @get("/", permission=READ)
    async def index(
        self,
        request: AnyRequest,
        isolation: NamedDependency[IsolationService],
        pager: NamedDependency[Pager],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        return await _shown(request, isolation, pager, cursor or None)

    @get("/{run_id:uuid}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        run_id: FromPath[UUID],
        isolation: NamedDependency[IsolationService],
        part: FromQuery[bool] = False,
    ) -> Template:
        """The drawer, or with `part` what in it keeps itself current."""
        run = read(await isolation.get(run_id), IsolationRunDetail)
        by_table: dict[str, list[Any]] = {}
        for case in run.cases:
            by_table.setdefault(case.subject, []).append(case)
        # What got through comes first, then the order of the tables.
        tables = sorted(by_table.items(), key=lambda each: all(case.result != Result.BREACHED for case in each[1]))
        fragment = "isolation/_run.html" if part else "isolation/_drawer.html"
        return render(request, "isolation/show.html", {"run": run, "tables": tables}, fragment=fragment)

    @post("/", permission=RUN, audit="owner.isolation.run", status_code=200)
    async def ask(
        self, request: AnyRequest, isolation: NamedDependency[IsolationService], pager: NamedDependency[Pager]
    ) -> Template:
        await isolation.ask()
        return told(await _shown(request, isolation, pager, None), "The suite runs")


async def _shown(request: AnyRequest, isolation: IsolationService, pager: Pager, cursor: str | None) -> Template:
    context = {
        "page": await isolation.list(pager, cursor=cursor),
        "latest": await isolation.latest(),
        "cursor": cursor,
    }
    return render(request, "isolation/index.html", context, fragment="isolation/_runs.html")
