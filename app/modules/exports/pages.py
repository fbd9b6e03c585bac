"""`/exports` of both dashboards: files made of lists."""

from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Stream, Template

from app.core.paging import Pager
from app.core.policy import Actor
from app.core.templating import gone_to, prefix_of, render, told
from app.modules.exports.permissions import READ, WRITE
from app.modules.exports.schemas import FILE_SEEN, ExportForm
from app.modules.exports.service import Exports, stream

AnyRequest = Request[Any, Any, Any]


class ExportPages(Controller):
    path = "/exports"

    @get("/", permission=READ)
    async def index(
        self,
        request: AnyRequest,
        exports: NamedDependency[Exports],
        pager: NamedDependency[Pager],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        return await _list(request, exports, pager, cursor)

    @post("/", permission=WRITE, audit="owner.export.create", status_code=200)
    async def create(
        self, request: AnyRequest, exports: NamedDependency[Exports], data: URLEncodedBody[ExportForm]
    ) -> Response[bytes]:
        await exports.create(data.list, data.format, dict(parse_qsl(data.query)))
        return gone_to(f"{prefix_of(request)}/exports")

    @get("/{export_id:uuid}/file", permission=READ, access=FILE_SEEN, uncompressed=True)
    async def file(
        self,
        request: AnyRequest,
        exports: NamedDependency[Exports],
        actor: NamedDependency[Actor],
        export_id: FromPath[UUID],
    ) -> Stream:
        return await stream(request, exports, actor, export_id)

    @post("/{export_id:uuid}/removal", permission=WRITE, audit="owner.export.remove", status_code=200)
    async def remove(
        self,
        request: AnyRequest,
        exports: NamedDependency[Exports],
        pager: NamedDependency[Pager],
        export_id: FromPath[UUID],
    ) -> Template:
        await exports.remove(export_id)
        return told(await _list(request, exports, pager), "The export is removed")


async def _list(request: AnyRequest, exports: Exports, pager: Pager, cursor: str | None = None) -> Template:
    page = await exports.search(pager, cursor=cursor)
    context = {
        "page": page,
        "cursor": cursor,
        "tenants": await exports.tenants(page.items),
        "lists": {name: one.label for name, one in exports.lists.items()},
    }
    return render(request, "exports/index.html", context, fragment="exports/_list.html")
