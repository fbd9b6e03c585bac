"""`/emails` in the dashboards, and `/unsubscribe/{ticket}`, where the link in a mail leads."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.access import Access
from app.core.paging import Pager
from app.core.policy import PUBLIC
from app.core.templating import prefix_of, render
from app.core.wire import SHORT_BODY
from app.modules.audit.service import tenant_names
from app.modules.email.permissions import OPEN, READ
from app.modules.email.schemas import EMAIL_SEEN, EMAILS_SEEN, OWN_EMAIL_SEEN, OWN_EMAILS_SEEN, STATUSES, EmailQuery
from app.modules.email.service import SORTS, EmailService, Unsubscribing

AnyRequest = Request[Any, Any, Any]


class EmailPages(Controller):
    path = "/emails"

    @get("/", permission=READ, access=EMAILS_SEEN, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        emails: NamedDependency[EmailService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        asked: NamedDependency[EmailQuery],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        return await _list(request, emails, session, pager, asked, cursor, EMAILS_SEEN)

    @get("/{email_id:uuid}", permission=OPEN, access=EMAIL_SEEN)
    async def show(
        self,
        request: AnyRequest,
        emails: NamedDependency[EmailService],
        session: NamedDependency[AsyncSession],
        email_id: FromPath[UUID],
    ) -> Template:
        return await _mail(request, emails, session, email_id, EMAIL_SEEN)


class MemberEmailPages(EmailPages):
    """The mails of the tenant that the reader belongs to."""

    @get("/", permission=READ, access=OWN_EMAILS_SEEN, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        emails: NamedDependency[EmailService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        asked: NamedDependency[EmailQuery],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        return await _list(request, emails, session, pager, asked, cursor, OWN_EMAILS_SEEN)

    @get("/{email_id:uuid}", permission=OPEN, access=OWN_EMAIL_SEEN)
    async def show(
        self,
        request: AnyRequest,
        emails: NamedDependency[EmailService],
        session: NamedDependency[AsyncSession],
        email_id: FromPath[UUID],
    ) -> Template:
        return await _mail(request, emails, session, email_id, OWN_EMAIL_SEEN)


async def _list(
    request: AnyRequest,
    emails: EmailService,
    session: AsyncSession,
    pager: Pager,
    asked: EmailQuery,
    cursor: str | None,
    access: Access,
) -> Template:
    page = await emails.search(pager, asked.filter(), cursor=cursor)
    context = {
        "path": f"{prefix_of(request)}/emails",
        "page": page,
        "cursor": cursor,
        "params": {name: value for name, value in msgspec.to_builtins(asked).items() if value} | pager.order,
        "statuses": [(status, status.capitalize()) for status in STATUSES],
        "kept_here": emails.kept_here,
        "tenants": await tenant_names(session, {row.tenant_id for row in page.items}),
    }
    return render(request, "email/index.html", context, fragment="email/_list.html", access=access)


async def _mail(
    request: AnyRequest, emails: EmailService, session: AsyncSession, email_id: UUID, access: Access
) -> Template:
    row = await emails.get(email_id)
    context = {
        "path": f"{prefix_of(request)}/emails",
        "email": row,
        "text": await emails.said(row),
        "kept_here": emails.kept_here,
        "tenant": (await tenant_names(session, {row.tenant_id})).get(row.tenant_id),
    }
    return render(request, "email/show.html", context, fragment="email/_drawer.html", access=access)


class UnsubscribePages(Controller):
    """The way out of a tenant's mails: for people a page with a button, for mail programs one POST (RFC 8058)."""

    path = "/unsubscribe/{ticket:str}"
    request_max_body_size = SHORT_BODY

    @get("/", permission=PUBLIC)
    async def look(
        self, request: AnyRequest, unsubscribing: NamedDependency[Unsubscribing], ticket: FromPath[str]
    ) -> Template:
        return _page(request, ticket, await unsubscribing.offer(ticket))

    @post("/", permission=PUBLIC, audit="email.unsubscribe", status_code=200)
    async def choose(
        self,
        request: AnyRequest,
        unsubscribing: NamedDependency[Unsubscribing],
        ticket: FromPath[str],
    ) -> Template:
        # Whoever holds the mail may choose, and nothing else is asked of a mail program: no cookie, no token, and
        # either kind of form.
        choice = str((await request.form()).get("choice") or "category")
        return _page(request, ticket, await unsubscribing.choose(ticket, choice), choice)


def _page(request: AnyRequest, ticket: str, offer: object, choice: str = "") -> Template:
    context = {"ticket": ticket, "offer": offer, "choice": choice}
    status = 200 if offer else 404
    return render(request, "email/unsubscribe.html", context, fragment="email/unsubscribe.html", status=status)
