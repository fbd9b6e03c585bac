"""`/exports` of both dashboards: files made of lists."""

from typing import Any, get_args
from urllib.parse import parse_qsl
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Stream, Template

from app.core.listing import Asked, asked_of, filled, kept
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.queries import one_of
from app.core.templating import gone_to, prefix_of, render, told
from app.modules.exports.permissions import READ, WRITE
from app.modules.exports.schemas import FILE_SEEN, ExportForm, State
from app.modules.exports.service import SORTS, Exports, stream

AnyRequest = Request[Any, Any, Any]
LISTED = ("q", "list", "state", "sort")
STATES = [(state, state.capitalize()) for state in get_args(State)]


class ExportPages(Controller):
    path = "/exports"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self, request: AnyRequest, exports: NamedDependency[Exports], pager: NamedDependency[Pager]
    ) -> Template:
        return await _list(request, exports, pager, asked_of(request.query_params, LISTED))

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
        asked = kept(request, f"{prefix_of(request)}/exports", LISTED)
        return told(await _list(request, exports, pager, asked), "The export is removed")


async def _list(request: AnyRequest, exports: Exports, pager: Pager, asked: Asked) -> Template:
    """The list as the address asks for it; after an act, as the reader has it."""
    params, place = asked
    state: State | None = one_of("state", params.get("state"), State)
    sorted_ = pager.by(params.get("sort"))
    text, name = params.get("q"), params.get("list")
    page, cursor = await filled(lambda at: exports.search(sorted_, text=text, name=name, state=state, cursor=at), place)
    context = {
        "page": page,
        "cursor": cursor,
        "params": params,
        "states": STATES,
        "tenants": await exports.tenants(page.items),
        "lists": {name: one.label for name, one in exports.lists.items()},
    }
    return render(request, "exports/index.html", context, fragment="exports/_list.html")
