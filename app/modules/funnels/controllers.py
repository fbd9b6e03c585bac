"""`/api/v1/funnels`, for tenants' apps; `/api/owner/funnels`, of all tenants."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.core.etag import IfMatch, etag, versions
from app.core.moments import day_of
from app.core.paging import Page, Pager
from app.core.queries import uuid_of
from app.modules.funnels.models import Funnel
from app.modules.funnels.permissions import READ, WRITE
from app.modules.funnels.schemas import (
    FUNNEL_ANSWERS,
    FunnelChange,
    FunnelCreate,
    FunnelOwnedCreate,
    FunnelPage,
    FunnelRead,
    FunnelResults,
    read,
)
from app.modules.funnels.service import SORTS, FunnelService

Since = Annotated[str | None, QueryParameter(name="from")]
Until = Annotated[str | None, QueryParameter(name="to")]


class FunnelController(Controller):
    path = "/funnels"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        funnels: NamedDependency[FunnelService],
        pager: NamedDependency[Pager],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> FunnelPage:
        """List funnels, newest first."""
        return _page(await funnels.search(pager, limit=limit, cursor=cursor))

    @post("/", permission=WRITE, audit="funnel.create")
    async def create(
        self, data: JSONBody[FunnelCreate], funnels: NamedDependency[FunnelService]
    ) -> Response[FunnelRead]:
        """Make a funnel. The last four weeks are told of the events that are there."""
        funnel = await funnels.create(data)
        return _answer(funnel, 201, {"Location": f"/api/v1/funnels/{funnel.id}"})

    @get("/{funnel_id:uuid}", permission=READ)
    async def show(self, funnel_id: FromPath[UUID], funnels: NamedDependency[FunnelService]) -> Response[FunnelRead]:
        """Read one funnel."""
        return _answer(await funnels.get(funnel_id))

    @patch("/{funnel_id:uuid}", permission=WRITE, audit="funnel.update")
    async def update(
        self,
        funnel_id: FromPath[UUID],
        data: JSONBody[FunnelChange],
        funnels: NamedDependency[FunnelService],
        if_match: IfMatch = None,
    ) -> Response[FunnelRead]:
        """Change the fields of a funnel that are sent; its last four weeks are told anew."""
        return _answer(await funnels.update(funnel_id, data, expected=versions(if_match)))

    @delete("/{funnel_id:uuid}", permission=WRITE, audit="funnel.delete")
    async def discard(
        self, funnel_id: FromPath[UUID], funnels: NamedDependency[FunnelService], if_match: IfMatch = None
    ) -> None:
        """Delete a funnel, with what was told of it."""
        await funnels.delete(funnel_id, expected=versions(if_match))

    @get("/{funnel_id:uuid}/results", permission=READ)
    async def results(
        self,
        funnel_id: FromPath[UUID],
        funnels: NamedDependency[FunnelService],
        since: Since = None,
        until: Until = None,
    ) -> FunnelResults:
        """Tell how far readers came: of days of the site, `from` and `to` included; else of the last four weeks."""
        funnel = await funnels.get(funnel_id)
        return await funnels.results(funnel, day_of("from", since), day_of("to", until))


class OwnerFunnelController(Controller):
    path = "/funnels"

    @get("/", permission=READ, sorts=SORTS, cached=FUNNEL_ANSWERS)
    async def index(
        self,
        funnels: NamedDependency[FunnelService],
        pager: NamedDependency[Pager],
        tenant: Annotated[str | None, QueryParameter(name="tenantId")] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> FunnelPage:
        """List all tenants' funnels, newest first."""
        return _page(await funnels.search(pager, uuid_of("tenantId", tenant), limit=limit, cursor=cursor))

    @post("/", permission=WRITE, audit="funnel.create")
    async def create(
        self, data: JSONBody[FunnelOwnedCreate], funnels: NamedDependency[FunnelService]
    ) -> Response[FunnelRead]:
        """Make a funnel of a tenant."""
        funnel = await funnels.create(data, data.tenant_id)
        return _answer(funnel, 201, {"Location": f"/api/owner/funnels/{funnel.id}"})

    @get("/{funnel_id:uuid}", permission=READ, cached=FUNNEL_ANSWERS)
    async def show(self, funnel_id: FromPath[UUID], funnels: NamedDependency[FunnelService]) -> Response[FunnelRead]:
        """Read one funnel of any tenant."""
        return _answer(await funnels.get(funnel_id))

    @patch("/{funnel_id:uuid}", permission=WRITE, audit="funnel.update")
    async def update(
        self,
        funnel_id: FromPath[UUID],
        data: JSONBody[FunnelChange],
        funnels: NamedDependency[FunnelService],
        if_match: IfMatch = None,
    ) -> Response[FunnelRead]:
        """Change the fields of any tenant's funnel that are sent; its last four weeks are told anew."""
        return _answer(await funnels.update(funnel_id, data, expected=versions(if_match)))

    @delete("/{funnel_id:uuid}", permission=WRITE, audit="funnel.delete")
    async def discard(
        self, funnel_id: FromPath[UUID], funnels: NamedDependency[FunnelService], if_match: IfMatch = None
    ) -> None:
        """Delete a funnel of any tenant, with what was told of it."""
        await funnels.delete(funnel_id, expected=versions(if_match))

    @get("/{funnel_id:uuid}/results", permission=READ, cached=FUNNEL_ANSWERS)
    async def results(
        self,
        funnel_id: FromPath[UUID],
        funnels: NamedDependency[FunnelService],
        since: Since = None,
        until: Until = None,
    ) -> FunnelResults:
        """Tell how far readers of any tenant came: of days of its site, `from` and `to` included."""
        funnel = await funnels.get(funnel_id)
        return await funnels.results(funnel, day_of("from", since), day_of("to", until))


def _page(found: Page[Funnel]) -> FunnelPage:
    page = found.map(read)
    return FunnelPage(items=[*page.items], next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)


def _answer(funnel: Funnel, status: int = 200, headers: dict[str, str] | None = None) -> Response[FunnelRead]:
    return Response(read(funnel), status_code=status, headers=etag(funnel.version) | (headers or {}))
