"""`/dashboard/owner/logs/audit`."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from app.core.access import tell
from app.core.errors import Invalid
from app.core.paging import Page, Pager
from app.core.queries import columns
from app.core.templating import render, where
from app.modules.audit.models import AuditLog
from app.modules.audit.permissions import READ
from app.modules.audit.schemas import ENTRY_SEEN, OUTCOMES, AuditQuery, changes, read
from app.modules.audit.service import SORTS, AuditTrail

FILTERS = columns(AuditQuery)


class AuditPages(Controller):
    path = "/logs/audit"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        request: Request[Any, Any, Any],
        trail: NamedDependency[AuditTrail],
        asked: NamedDependency[AuditQuery],
        pager: NamedDependency[Pager],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        page: Page[AuditLog]
        refused: str | None
        try:
            page, refused = await trail.search(pager, asked.filter(), cursor=cursor), None
        except Invalid as problem:  # shown where the rows would be: rows that nobody asked for would mislead
            page, refused = Page([], None, None), problem.detail
        context = {
            "page": page,
            "refused": refused,
            "tenants": await trail.tenants(page.items),
            "cursor": cursor,
            "params": {name: request.query_params[name] for name in FILTERS if request.query_params.get(name)}
            | pager.order,
            "actions": _actions(request),
            "outcomes": [(outcome, outcome.capitalize()) for outcome in OUTCOMES],
        }
        status = 422 if refused else 200
        return render(request, "audit/index.html", context, fragment="audit/_list.html", status=status)

    @get("/{entry_id:uuid}", permission=READ, access=ENTRY_SEEN)
    async def entry(
        self, request: Request[Any, Any, Any], trail: NamedDependency[AuditTrail], entry_id: FromPath[UUID]
    ) -> Template:
        row = await trail.get(entry_id)
        tell(request, tenant_id=row.tenant_id)
        return render(
            request,
            "audit/entry.html",
            {
                "entry": row,
                "changes": changes(row.before, row.after),
                "tenants": await trail.tenants([row]),
                "plain": msgspec.to_builtins(read(row)),
                "where": where(request, row.resource_type, row.resource_id),
            },
            fragment="audit/_entry.html",
        )


def _actions(request: Request[Any, Any, Any]) -> list[tuple[str, str]]:
    """Every action that a route or a processor of this app can leave in the log."""
    handlers = [handler for route in request.app.routes for handler in getattr(route, "route_handlers", ())]
    of_routes = {handler.opt["audit"] for handler in handlers if handler.opt.get("audit")}
    return [(name, name) for name in sorted(of_routes | {*request.app.state.actions})]
