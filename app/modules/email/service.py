"""The rules of mail: a letter is a row and a job, written in the transaction of what it tells about."""

from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import Table, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Invalid, NotFound
from app.core.ids import new_id
from app.core.live import signal
from app.core.logging import redact
from app.core.paging import Page, Pager
from app.modules.email.client import folder
from app.modules.email.jobs import SendEmail, SendOtp
from app.modules.email.models import EmailLog
from app.modules.email.schemas import Letter, Status, Ticket
from app.queues.enqueue import enqueue

__all__ = ["TOPIC", "EmailService", "Letter", "Ticket", "folder", "send"]
TOPIC = "emails"
VERSIONS = {"sign_in": 1, "reset": 1, "register": 1, "known": 1, "new_device": 1, "welcome": 1}
"""Every template and its version, which goes up when its words change."""
_table = cast(Table, EmailLog.__table__)


async def send(session: AsyncSession, letter: Letter) -> UUID | None:
    """Write the letter down; it leaves after the commit. None: one with its key was written before."""
    row: dict[str, Any] = {
        "id": new_id(),
        "tenant_id": scope_of(session).tenant_id,
        "template": letter.template,
        "template_version": VERSIONS[letter.template],
        "recipient": letter.to,
        "props": msgspec.to_builtins(redact(letter.props)),
        "ticket": msgspec.to_builtins(letter.ticket) if letter.ticket else None,
        "good_until": letter.good_until,
        "deduplication_key": letter.key,
    }
    query = insert(_table).values(row).on_conflict_do_nothing().returning(_table.c.id)
    written: UUID | None = await session.scalar(query)
    if written is not None:
        await enqueue(session, SendOtp(email_id=written) if letter.ticket else SendEmail(email_id=written))
        signal(session, TOPIC, written, row["tenant_id"])
    return written


class EmailService:
    """The mail log. `mailbox` is the folder mails are put into, None where they go to a mail server."""

    def __init__(self, session: AsyncSession, mailbox: Path | None) -> None:
        self._session = session
        self._mailbox = mailbox

    @property
    def kept_here(self) -> bool:
        return self._mailbox is not None

    async def search(
        self,
        pager: Pager,
        *,
        text: str | None = None,
        status: Status | None = None,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[EmailLog]:
        """Newest first; `text` is how the recipient's address begins.

        Raises:
            Invalid (`q`): no address has such characters.
        """
        if text and not text.isprintable():
            raise Invalid.field("q", "has a character that no address has")
        query = select(EmailLog)
        if text:
            query = query.where(EmailLog.recipient.startswith(text.strip().lower(), autoescape=True))
        if status:
            query = query.where(EmailLog.status == status)
        of = f"emails {text} {status}"
        return await pager.page(self._session, query, key=EmailLog.id, of=of, limit=limit, cursor=cursor)

    async def get(self, email_id: UUID) -> EmailLog:
        """
        Raises:
            NotFound.
        """
        row = await self._session.scalar(select(EmailLog).where(EmailLog.id == email_id))
        if row is None:
            raise NotFound("There is no such mail")
        return row

    def body(self, email_id: UUID) -> str | None:
        """What a mail in the mailbox says; None where there is no mailbox, or no such mail in it by now."""
        if self._mailbox is None:
            return None
        try:
            message = message_from_bytes((self._mailbox / f"{email_id}.eml").read_bytes(), policy=policy.default)
        except OSError:
            return None
        plain = message.get_body(("plain",))
        return str(plain.get_content()) if plain else None
