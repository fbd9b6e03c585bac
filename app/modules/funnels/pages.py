"""`/funnels` in the dashboards: how far readers come, and where they turn back."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.errors import Invalid
from app.core.moments import day_of
from app.core.paging import Pager
from app.core.queries import uuid_of
from app.core.templating import prefix_of, render, told
from app.modules.audit.service import tenant_names as tenant_names_of
from app.modules.funnels.models import Funnel
from app.modules.funnels.permissions import READ, WRITE
from app.modules.funnels.schemas import FunnelForm, read
from app.modules.funnels.service import SORTS, FunnelService
from app.modules.tenants.service import tenant_names

AnyRequest = Request[Any, Any, Any]
PATH = "/funnels"


class FunnelPages(Controller):
    path = PATH

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        funnels: NamedDependency[FunnelService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        context = await _list(request, funnels, session, pager, cursor)
        return render(request, "funnels/index.html", context, fragment="funnels/_list.html")

    @post("/", permission=WRITE, audit="funnel.create", status_code=200)
    async def create(
        self,
        request: AnyRequest,
        funnels: NamedDependency[FunnelService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        data: URLEncodedBody[FunnelForm],
    ) -> Template:
        tenant_id = uuid_of("tenantId", data.tenant_id)
        if scope_of(session).plane is Plane.PLATFORM and tenant_id is None:
            raise Invalid.field("tenantId", "is wanted: whose funnel it is")
        funnel = await funnels.create(data.read(), tenant_id)
        context = await _list(request, funnels, session, pager)
        answer = render(request, "funnels/index.html", context, fragment="funnels/_list.html")
        return told(answer, f"{funnel.name} is made. Its figures come within minutes.")

    @get("/{funnel_id:uuid}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        funnels: NamedDependency[FunnelService],
        session: NamedDependency[AsyncSession],
        funnel_id: FromPath[UUID],
    ) -> Template:
        """The page, or what in it keeps itself current."""
        context = await _one(request, funnels, session, await funnels.get(funnel_id))
        status = 422 if context["refused"] else 200
        return render(request, "funnels/show.html", context, fragment="funnels/_show.html", status=status)

    @post("/{funnel_id:uuid}", permission=WRITE, audit="funnel.update", status_code=200)
    async def update(
        self,
        request: AnyRequest,
        funnels: NamedDependency[FunnelService],
        session: NamedDependency[AsyncSession],
        funnel_id: FromPath[UUID],
        data: URLEncodedBody[FunnelForm],
    ) -> Template:
        expected = None if data.version is None else {data.version}
        funnel = await funnels.update(funnel_id, data.change(), expected=expected)
        context = await _one(request, funnels, session, funnel)
        answer = render(request, "funnels/show.html", context, fragment="funnels/_show.html")
        return told(answer, f"{funnel.name} is changed. Its figures come anew within minutes.")

    @post("/{funnel_id:uuid}/removal", permission=WRITE, audit="funnel.delete", status_code=200)
    async def discard(
        self,
        request: AnyRequest,
        funnels: NamedDependency[FunnelService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        funnel_id: FromPath[UUID],
    ) -> Template:
        funnel = await funnels.delete(funnel_id)
        context = await _list(request, funnels, session, pager)
        answer = render(request, "funnels/index.html", context, fragment="funnels/_list.html")
        return told(answer, f"{funnel.name} is deleted.")


async def _list(
    request: AnyRequest, funnels: FunnelService, session: AsyncSession, pager: Pager, cursor: str | None = None
) -> dict[str, Any]:
    asked = request.query_params.get("tenantId") if request.method == "GET" else None
    page = await funnels.search(pager, uuid_of("tenantId", asked), cursor=cursor)
    return {
        "path": prefix_of(request) + PATH,
        "page": page,
        "results": {funnel.id: await funnels.results(funnel) for funnel in page.items},
        "tenants": await tenant_names(session),
        "params": ({"tenantId": asked} if asked else {}) | pager.order,
        "cursor": cursor,
    }


async def _one(request: AnyRequest, funnels: FunnelService, session: AsyncSession, funnel: Funnel) -> dict[str, Any]:
    asked = {name: request.query_params[name] for name in ("from", "to") if request.query_params.get(name)}
    context: dict[str, Any] = {
        "path": prefix_of(request) + PATH,
        "funnel": funnel,
        "tenants": await tenant_names_of(session, [funnel.tenant_id]),
        "params": asked,
        "plain": msgspec.to_builtins(read(funnel)),
        "refused": None,
    }
    try:
        days = (day_of("from", asked.get("from")), day_of("to", asked.get("to")))
        context["results"] = await funnels.results(funnel, *days)
    except Invalid as problem:  # shown where the figures would be
        context["refused"] = problem.detail
    return context
