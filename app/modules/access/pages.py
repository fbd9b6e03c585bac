"""`/logs`, `/logs/access` of both dashboards, and "Who saw this" on the page of whatever was seen."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from litestar.routes import HTTPRoute
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Invalid
from app.core.paging import Page, Pager
from app.core.policy import Actor
from app.core.queries import columns
from app.core.templating import render
from app.modules.access.models import DataAccessLog
from app.modules.access.permissions import READ
from app.modules.access.schemas import AccessQuery, read
from app.modules.access.service import SORTS, AccessTrail
from app.modules.audit.service import AuditTrail

FILTERS = columns(AccessQuery)
ON_RECORD, AT_A_GLANCE = 5, 8
AnyRequest = Request[Any, Any, Any]


class LogPages(Controller):
    """Both logs at a glance."""

    path = "/logs"

    @get("/", permission=READ)
    async def index(
        self,
        request: AnyRequest,
        session: NamedDependency[AsyncSession],
        actor: NamedDependency[Actor],
        reads: NamedDependency[AccessTrail],
    ) -> Template:
        changes = await AuditTrail(session).latest(AT_A_GLANCE) if "audit:read" in actor.permissions else None
        context = {"changes": changes, "reads": await reads.latest(AT_A_GLANCE)}
        return render(request, "access/logs.html", context, fragment="access/_logs.html")


class AccessPages(Controller):
    path = "/logs/access"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        reads: NamedDependency[AccessTrail],
        asked_reads: NamedDependency[AccessQuery],
        pager: NamedDependency[Pager],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        page: Page[DataAccessLog]
        refused: str | None
        try:
            page, refused = await reads.search(pager, asked_reads.filter(), cursor=cursor), None
        except Invalid as problem:  # shown where the rows would be: rows that nobody asked for would mislead
            page, refused = Page([], None, None), problem.detail
        context = {
            "page": page,
            "refused": refused,
            "tenants": await reads.tenants(page.items),
            "cursor": cursor,
            "params": {name: request.query_params[name] for name in FILTERS if request.query_params.get(name)}
            | pager.order,
            "actions": _actions(request),
        }
        status = 422 if refused else 200
        return render(request, "access/index.html", context, fragment="access/_list.html", status=status)

    @get("/{entry_id:uuid}", permission=READ)
    async def entry(
        self, request: AnyRequest, reads: NamedDependency[AccessTrail], entry_id: FromPath[UUID]
    ) -> Template:
        row = await reads.get(entry_id)
        context = {"entry": row, "tenants": await reads.tenants([row]), "plain": msgspec.to_builtins(read(row))}
        return render(request, "access/entry.html", context, fragment="access/_entry.html")

    @get("/of/{kind:str}/{thing:str}", permission=READ)
    async def of(
        self, request: AnyRequest, reads: NamedDependency[AccessTrail], kind: FromPath[str], thing: FromPath[str]
    ) -> Template:
        """The newest reads of one thing: a part of that thing's own page."""
        found = await reads.latest(ON_RECORD + 1, of=(kind, thing))
        context = {"reads": found[:ON_RECORD], "more": len(found) > ON_RECORD, "kind": kind, "thing": thing}
        return render(request, "access/seen.html", context, fragment="access/_seen.html")


def _actions(request: AnyRequest) -> list[tuple[str, str]]:
    """Every action that a route of this app can leave in the log."""
    routes = [route for route in request.app.routes if isinstance(route, HTTPRoute)]
    declared = {
        handler.opt["access"].action for route in routes for handler in route.route_handlers if "access" in handler.opt
    }
    return [(name, name) for name in sorted(declared)]
