"""`/email-suppressions` in the dashboards: addresses to which nothing is sent."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.paging import Pager
from app.core.queries import one_of
from app.core.templating import prefix_of, render, told
from app.modules.audit.service import tenant_names
from app.modules.email_preferences.models import Reason
from app.modules.email_preferences.permissions import READ, WRITE
from app.modules.email_preferences.schemas import SuppressionForm
from app.modules.email_preferences.service import SORTS, EmailPreferences


class Views:
    """What this module shows: a whole page, or for HTMX the list."""

    def __init__(
        self, request: Request[Any, Any, Any], session: AsyncSession, preferences: EmailPreferences, pager: Pager
    ) -> None:
        self.preferences = preferences
        self._request, self._session, self._pager = request, session, pager

    async def index(self, text: str | None = None, reason: str | None = None, cursor: str | None = None) -> Template:
        wanted = one_of("reason", reason, Reason)
        page = await self.preferences.suppressions(self._pager, text=text, reason=wanted, cursor=cursor)
        context = {
            "path": f"{prefix_of(self._request)}/email-suppressions",
            "page": page,
            "cursor": cursor,
            "params": {name: value for name, value in (("q", text), ("reason", reason)) if value} | self._pager.order,
            "reasons": [(str(one), one.capitalize()) for one in Reason],
            "tenants": await tenant_names(self._session, {row.tenant_id for row in page.items}),
        }
        page_name, fragment = "email_preferences/index.html", "email_preferences/_list.html"
        return render(self._request, page_name, context, fragment=fragment)


class SuppressionPages(Controller):
    path = "/email-suppressions"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        views: NamedDependency[Views],
        q: FromQuery[str | None] = None,
        reason: FromQuery[str | None] = None,
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        return await views.index(q, reason, cursor)

    @post("/{suppression_id:uuid}/removal", permission=WRITE, audit="email.suppression.delete", status_code=200)
    async def allow(self, views: NamedDependency[Views], suppression_id: FromPath[UUID]) -> Template:
        row = await views.preferences.allow(suppression_id)
        return told(await views.index(), f"{row.recipient} gets mails again.")


class MemberSuppressionPages(SuppressionPages):
    """Those of the tenant that the reader belongs to."""

    @post("/", permission=WRITE, audit="email.suppression.create", status_code=200)
    async def suppress(self, views: NamedDependency[Views], data: URLEncodedBody[SuppressionForm]) -> Template:
        reason = one_of("reason", data.reason, Reason) or Reason.MANUAL
        row = await views.preferences.suppress(data.recipient, reason)
        return told(await views.index(), f"Nothing more is sent to {row.recipient}.")
