"""`/api/v1/emails`, for tenants' programs, and `/api/owner/emails`."""

from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from app.core.paging import Pager
from app.modules.email.permissions import OPEN, READ, SEND
from app.modules.email.schemas import (
    EMAIL_SEEN,
    EMAILS_SEEN,
    OWN_EMAIL_SEEN,
    OWN_EMAILS_SEEN,
    EmailPage,
    EmailQuery,
    EmailRead,
    EmailSend,
    read,
)
from app.modules.email.service import SORTS, EmailService


async def _show(emails: EmailService, email_id: UUID) -> EmailRead:
    row = await emails.get(email_id)
    return read(row, await emails.said(row))


async def _search(emails: EmailService, pager: Pager, asked: EmailQuery, limit: int, cursor: str | None) -> EmailPage:
    page = (await emails.search(pager, asked.filter(), limit=limit, cursor=cursor)).map(read)
    return EmailPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)


class OwnerEmailController(Controller):
    path = "/emails"

    @get("/", permission=READ, access=EMAILS_SEEN, sorts=SORTS)
    async def search(
        self,
        emails: NamedDependency[EmailService],
        pager: NamedDependency[Pager],
        asked: NamedDependency[EmailQuery],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> EmailPage:
        """List mails, newest first. `q` is how the recipient's address begins; `from` and `to` take days or moments."""
        return await _search(emails, pager, asked, limit, cursor)

    @get("/{email_id:uuid}", permission=OPEN, access=EMAIL_SEEN)
    async def show(self, emails: NamedDependency[EmailService], email_id: FromPath[UUID]) -> EmailRead:
        """Read one mail; its text too, of a tenant's template or where mails are kept in a folder."""
        return await _show(emails, email_id)


class EmailController(OwnerEmailController):
    """The mails of the caller's tenant."""

    @get("/", permission=READ, access=OWN_EMAILS_SEEN, sorts=SORTS)
    async def search(
        self,
        emails: NamedDependency[EmailService],
        pager: NamedDependency[Pager],
        asked: NamedDependency[EmailQuery],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> EmailPage:
        """List mails, newest first. `q` is how the recipient's address begins; `from` and `to` take days or moments."""
        return await _search(emails, pager, asked, limit, cursor)

    @post("/", permission=SEND, audit="email.send", status_code=202)
    async def send(self, emails: NamedDependency[EmailService], data: JSONBody[EmailSend]) -> Response[EmailRead]:
        """Send a mail of one of the tenant's templates, to an address or a member. `Location` is the mail's address.

        A second one with the same `deduplicationKey` is not sent; the first is answered.
        """
        row = read(await emails.send(data))
        return Response(row, status_code=202, headers={"Location": f"/api/v1/emails/{row.id}"})

    @get("/{email_id:uuid}", permission=OPEN, access=OWN_EMAIL_SEEN)
    async def show(self, emails: NamedDependency[EmailService], email_id: FromPath[UUID]) -> EmailRead:
        """Read one mail, and what it says if it is of the tenant's own template."""
        return await _show(emails, email_id)
