"""`/dashboard/owner/views`: the links above a list."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Template

from app.core.policy import SIGNED_IN
from app.core.templating import render, told
from app.modules.views.schemas import ViewForm
from app.modules.views.service import Views

AnyRequest = Request[Any, Any, Any]


class ViewPages(Controller):
    path = "/views"

    @get("/", permission=SIGNED_IN)
    async def index(self, request: AnyRequest, views: NamedDependency[Views]) -> Template:
        return await _show(request, views, request.query_params.get("page") or None)

    @post("/", permission=SIGNED_IN, audit="view.create", status_code=200)
    async def save(
        self, request: AnyRequest, views: NamedDependency[Views], data: URLEncodedBody[ViewForm]
    ) -> Template:
        view = await views.save(data.page, data.name, data.query)
        return told(await _show(request, views, view.page), f"{view.name} is saved")

    @post("/{view_id:uuid}/removal", permission=SIGNED_IN, audit="view.remove", status_code=200)
    async def remove(self, request: AnyRequest, views: NamedDependency[Views], view_id: FromPath[UUID]) -> Template:
        view = await views.remove(view_id)
        return told(await _show(request, views, view.page), f"{view.name} is removed")


async def _show(request: AnyRequest, views: Views, page: str | None) -> Template:
    context = {"views": await views.of(page), "page": page}
    return render(request, "views/index.html", context, fragment="views/_views.html")
