"""`/api/owner/isolation/runs`."""

from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from app.core.paging import Pager
from app.modules.isolation.permissions import READ, RUN
from app.modules.isolation.schemas import IsolationRunDetail, IsolationRunPage, IsolationRunRead, read
from app.modules.isolation.service import IsolationService


class IsolationController(Controller):
    path = "/isolation/runs"

    @get("/", permission=READ)
    async def index(
        self,
        isolation: NamedDependency[IsolationService],
        pager: NamedDependency[Pager],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> IsolationRunPage:
        """List the runs of the isolation suite, newest first; the newest fifty are kept."""
        return read(await isolation.list(pager, limit=limit, cursor=cursor), IsolationRunPage)

    @get("/{run_id:uuid}", permission=READ)
    async def show(self, run_id: FromPath[UUID], isolation: NamedDependency[IsolationService]) -> IsolationRunDetail:
        """Read a run of the isolation suite, with each thing that it tried."""
        return read(await isolation.get(run_id), IsolationRunDetail)

    @post("/", permission=RUN, audit="owner.isolation.run", status_code=202)
    async def ask(self, isolation: NamedDependency[IsolationService]) -> Response[IsolationRunRead]:
        """Try the walls between tenants against the live database, in sandbox tenants. 409 while a run is not over."""
        row = await isolation.ask()
        location = f"/api/owner/isolation/runs/{row.id}"
        return Response(read(row, IsolationRunRead), status_code=202, headers={"Location": location})
