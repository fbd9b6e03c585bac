"""`/api/owner/views`."""

from uuid import UUID

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from app.core.policy import SIGNED_IN
from app.modules.views.schemas import ViewCreate, ViewList, ViewRead, read
from app.modules.views.service import Views


class ViewController(Controller):
    path = "/views"

    @get("/", permission=SIGNED_IN)
    async def index(self, views: NamedDependency[Views], page: FromQuery[str | None] = None) -> ViewList:
        """List the caller's own saved views, of one list or of all."""
        return ViewList(items=[read(view) for view in await views.of(page or None)])

    @post("/", permission=SIGNED_IN, audit="view.create")
    async def save(self, views: NamedDependency[Views], data: JSONBody[ViewCreate]) -> Response[ViewRead]:
        """Save a list's filters under a name. 409 where the caller has that name."""
        view = read(await views.save(data.page, data.name, data.query))
        return Response(view, status_code=201, headers={"Location": f"/api/owner/views?page={view.page}"})

    @delete("/{view_id:uuid}", permission=SIGNED_IN, audit="view.remove")
    async def remove(self, views: NamedDependency[Views], view_id: FromPath[UUID]) -> None:
        """Remove one of the caller's own saved views."""
        await views.remove(view_id)
