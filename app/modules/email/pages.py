"""`/dashboard/owner/emails`."""

from typing import Any, cast, get_args
from uuid import UUID

from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from app.core.errors import Invalid
from app.core.paging import Pager
from app.core.templating import render
from app.modules.email.permissions import OPEN, READ
from app.modules.email.schemas import EMAIL_SEEN, Status
from app.modules.email.service import EmailService

AnyRequest = Request[Any, Any, Any]
STATUSES = [(status, status.capitalize()) for status in get_args(Status)]


class EmailPages(Controller):
    path = "/emails"

    @get("/", permission=READ)
    async def index(
        self,
        request: AnyRequest,
        emails: NamedDependency[EmailService],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        status: FromQuery[str | None] = None,
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        if status and status not in dict(STATUSES):
            raise Invalid.field("status", f"must be one of {', '.join(dict(STATUSES))}")
        context = {
            "page": await emails.search(pager, text=q, status=cast(Status | None, status or None), cursor=cursor),
            "cursor": cursor,
            "params": {name: value for name, value in (("q", q), ("status", status)) if value},
            "statuses": STATUSES,
            "kept_here": emails.kept_here,
        }
        return render(request, "email/index.html", context, fragment="email/_list.html")

    @get("/{email_id:uuid}", permission=OPEN, access=EMAIL_SEEN)
    async def show(
        self, request: AnyRequest, emails: NamedDependency[EmailService], email_id: FromPath[UUID]
    ) -> Template:
        row = await emails.get(email_id)
        context = {"email": row, "text": emails.body(row.id), "kept_here": emails.kept_here}
        return render(request, "email/show.html", context, fragment="email/_drawer.html")
