"""`/api/owner/emails`."""

from typing import Literal
from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from app.core.paging import Pager
from app.modules.email.permissions import OPEN, READ
from app.modules.email.schemas import EMAIL_SEEN, EmailPage, EmailRead, read
from app.modules.email.service import EmailService


class EmailController(Controller):
    path = "/emails"

    @get("/", permission=READ)
    async def search(
        self,
        emails: NamedDependency[EmailService],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        status: FromQuery[Literal["queued", "sent", "failed", "expired"] | None] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> EmailPage:
        """List mails, newest first. `q` is how the recipient's address begins."""
        page = (await emails.search(pager, text=q, status=status, limit=limit, cursor=cursor)).map(read)
        return EmailPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{email_id:uuid}", permission=OPEN, access=EMAIL_SEEN)
    async def show(self, emails: NamedDependency[EmailService], email_id: FromPath[UUID]) -> EmailRead:
        """Read one mail; its text too where mails are kept in a folder instead of being sent."""
        row = await emails.get(email_id)
        return read(row, emails.body(row.id))
