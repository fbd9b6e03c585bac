"""`/api/owner/exports`."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from app.core.paging import Pager
from app.core.policy import Actor
from app.core.uploads import answering
from app.modules.exports.permissions import READ, WRITE
from app.modules.exports.schemas import FILE_SEEN, ExportCreate, ExportPage, ExportRead, State, read
from app.modules.exports.service import SORTS, Exports, stream


class ExportController(Controller):
    path = "/exports"

    @get("/", permission=READ, sorts=SORTS)
    async def search(
        self,
        exports: NamedDependency[Exports],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        name: Annotated[str | None, QueryParameter(name="list")] = None,
        wanted: Annotated[State | None, QueryParameter(name="state")] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> ExportPage:
        """List exports that are made or being made, newest first. Each goes after 24 hours.

        `q` is looked for in who made them, `list` is the list that was exported.
        """
        found = await exports.search(pager, text=q, name=name, state=wanted, limit=limit, cursor=cursor)
        page = found.map(read)
        return ExportPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @post("/", permission=WRITE, audit="owner.export.create", status_code=202)
    async def create(self, exports: NamedDependency[Exports], data: JSONBody[ExportCreate]) -> Response[ExportRead]:
        """Export a list with its filters, as CSV or NDJSON. `Location` is the export's address.

        It needs the permission to read the list as well.
        """
        made = read(await exports.create(data.list, data.format, data.filter))
        return Response(made, status_code=202, headers={"Location": f"/api/owner/exports/{made.id}"})

    @get("/{export_id:uuid}", permission=READ)
    async def show(self, exports: NamedDependency[Exports], export_id: FromPath[UUID]) -> ExportRead:
        """Read how far an export is."""
        return read(await exports.get(export_id))

    @get(
        "/{export_id:uuid}/file",
        permission=READ,
        access=FILE_SEEN,
        uncompressed=True,
        operation_class=answering("text/csv", "application/x-ndjson"),
        responses={409: ResponseSpec(None, description="It is being made, or could not be")},
    )
    async def file(
        self,
        request: Request[Any, Any, Any],
        exports: NamedDependency[Exports],
        actor: NamedDependency[Actor],
        export_id: FromPath[UUID],
    ) -> Stream:
        """Fetch the file of a completed export. 409 while it is being made."""
        return await stream(request, exports, actor, export_id)

    @delete("/{export_id:uuid}", permission=WRITE, audit="owner.export.remove")
    async def remove(self, exports: NamedDependency[Exports], export_id: FromPath[UUID]) -> None:
        """Remove an export with its file."""
        await exports.remove(export_id)
