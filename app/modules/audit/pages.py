"""`/dashboard/owner/logs/audit`."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from app.core.paging import Pager
from app.core.templating import render
from app.modules.audit.permissions import READ
from app.modules.audit.schemas import OUTCOMES, AuditQuery, read
from app.modules.audit.service import AuditTrail

FILTERS = ("action", "resource", "actorId", "tenantId", "outcome", "from", "to")


class AuditPages(Controller):
    path = "/logs/audit"

    @get("/", permission=READ)
    async def index(
        self,
        request: Request[Any, Any, Any],
        trail: NamedDependency[AuditTrail],
        asked: NamedDependency[AuditQuery],
        pager: NamedDependency[Pager],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        context = {
            "page": await trail.search(pager, asked.filter(), cursor=cursor),
            "cursor": cursor,
            "params": {name: request.query_params[name] for name in FILTERS if request.query_params.get(name)},
            "actions": _actions(request),
            "outcomes": [(outcome, outcome.capitalize()) for outcome in OUTCOMES],
        }
        return render(request, "audit/index.html", context, fragment="audit/_list.html")

    @get("/{entry_id:uuid}", permission=READ)
    async def entry(
        self, request: Request[Any, Any, Any], trail: NamedDependency[AuditTrail], entry_id: FromPath[UUID]
    ) -> Template:
        row = await trail.get(entry_id)
        return render(
            request,
            "audit/entry.html",
            {"entry": row, "plain": msgspec.to_builtins(read(row))},
            fragment="audit/_entry.html",
        )


def _actions(request: Request[Any, Any, Any]) -> list[tuple[str, str]]:
    """Every action that a route of this app can leave in the log."""
    handlers = [handler for route in request.app.routes for handler in getattr(route, "route_handlers", ())]
    names = sorted({handler.opt["audit"] for handler in handlers if handler.opt.get("audit")})
    return [(name, name) for name in names]
