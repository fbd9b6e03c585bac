"""The rules of mail: a letter is a row and a job, written in the transaction of what it tells about."""

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import Table, column, delete, func, select
from sqlalchemy import table as sql_table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import floor_id, new_id
from app.core.live import signal
from app.core.logging import redact
from app.core.paging import Page, Pager
from app.core.request import correlation_id
from app.modules.email.client import folder
from app.modules.email.jobs import SendEmail, SendOtp
from app.modules.email.models import EmailLog
from app.modules.email.schemas import Letter, Status, TemplateLetter, Ticket
from app.modules.email_templates.service import current, write
from app.modules.tenants.service import require_room
from app.queues.enqueue import enqueue

__all__ = [
    "TOPIC",
    "EmailService",
    "Letter",
    "TemplateLetter",
    "Ticket",
    "folder",
    "forget",
    "send",
    "send_template",
    "status_of",
]
TOPIC = "emails"
EMAILS_PER_DAY = "emailsPerDay"
DAY = timedelta(days=1)
MAX_KEY, MAX_ADDRESS = 200, 254
_ADDRESS = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[a-z0-9-]+(\.[a-z0-9-]+)+")
_table = cast(Table, EmailLog.__table__)
_MEMBER = sql_table("tenant_member", column("id"), column("tenant_id"), column("email"))


async def send(session: AsyncSession, letter: Letter) -> UUID | None:
    """Write the letter down; it leaves after the commit. None: one with its key was written before."""
    mails: dict[str, tuple[int, str]] = session.info["mails"]
    row: dict[str, Any] = {
        "template": letter.template,
        "template_version": mails[letter.template][0],
        "recipient": letter.to,
        "props": msgspec.to_builtins(redact(letter.props)),
        "ticket": msgspec.to_builtins(letter.ticket) if letter.ticket else None,
        "good_until": letter.good_until,
        "deduplication_key": letter.key,
    }
    return await _write(session, row, SendOtp if letter.ticket else SendEmail)


async def send_template(session: AsyncSession, letter: TemplateLetter) -> UUID:
    """Write a letter of the tenant's own template down; it leaves after the commit. `EmailEnded` tells its end.

    Returns:
        the mail's id; that of the first one with this key, whatever became of it (see `status_of`).

    Raises:
        Invalid: naming the field. QuotaExceeded: the tenant has sent as many mails in 24 hours as it may.
    """
    tenant_id = scope_of(session).tenant_id
    if letter.key is not None:
        if not 0 < len(letter.key) <= MAX_KEY or not letter.key.isprintable():
            raise Invalid.field("deduplicationKey", f"must have 1 to {MAX_KEY} printable characters")
        if (first := await _first(session, tenant_id, letter.key)) is not None:
            return first
    version = await current(session, letter.template, tenant_id)
    await write(version, letter.values)
    await require_room(session, tenant_id, EMAILS_PER_DAY)
    row: dict[str, Any] = {
        "template": letter.template,
        "template_version": version.number,
        "template_id": version.template_id,
        "category": version.category,
        "recipient": await _address(session, tenant_id, letter.to),
        "props": letter.values,
        "deduplication_key": letter.key and _own(letter.key),
    }
    written = await _write(session, row, SendEmail)
    if written is None and letter.key is not None:
        # Another transaction was quicker; it has committed, for the insert waited for it.
        written = await _first(session, tenant_id, letter.key)
    if written is None:
        raise Conflict("The mail was deleted while it was written: try again")
    return written


async def status_of(session: AsyncSession, email_id: UUID) -> Status | None:
    """How far a mail is; None where there is none with this id."""
    return cast(Status | None, await session.scalar(select(EmailLog.status).where(EmailLog.id == email_id)))


async def sent_today(session: AsyncSession, tenant_id: UUID) -> int:
    """How many mails of its own templates a tenant has wanted in the last 24 hours."""
    since = EmailLog.id >= floor_id(datetime.now(UTC) - DAY)
    query = select(func.count()).where(EmailLog.tenant_id == tenant_id, since, EmailLog.template_id.is_not(None))
    return await session.scalar(query) or 0


async def _write(session: AsyncSession, row: dict[str, Any], job: type[SendEmail | SendOtp]) -> UUID | None:
    tenant_id = scope_of(session).tenant_id
    row |= {"id": new_id(), "tenant_id": tenant_id, "correlation_id": correlation_id()}
    query = insert(_table).values(row).on_conflict_do_nothing().returning(_table.c.id)
    written: UUID | None = await session.scalar(query)
    if written is not None:
        await enqueue(session, job(email_id=written))
        signal(session, TOPIC, written, tenant_id)
    return written


async def _first(session: AsyncSession, tenant_id: UUID, key: str) -> UUID | None:
    of = (EmailLog.tenant_id == tenant_id, EmailLog.deduplication_key == _own(key))
    found: UUID | None = await session.scalar(select(EmailLog.id).where(*of))
    return found


def _own(key: str) -> str:
    """A tenant's keys are apart from those of the modules' mails."""
    return f"own:{key}"


async def _address(session: AsyncSession, tenant_id: UUID, to: str | UUID) -> str:
    """
    Raises:
        Invalid: it is none, or nobody of the tenant.
    """
    if isinstance(to, UUID):
        of = (_MEMBER.c.tenant_id == tenant_id, _MEMBER.c.id == to)
        found: str | None = await session.scalar(select(_MEMBER.c.email).where(*of))
        if found is None:
            raise Invalid.field("memberId", "there is no member with this id")
        return found
    return address("to", to)


async def forget(session: AsyncSession, *, recipient: str | None = None, before: datetime | None = None) -> int:
    """Delete the rows of mails to an address, or of those written before a moment; returns how many."""
    query = delete(EmailLog)
    query = query.where(EmailLog.recipient == recipient) if recipient is not None else query
    query = query.where(EmailLog.id < floor_id(before)) if before is not None else query
    gone = await session.execute(query)
    return int(getattr(gone, "rowcount", 0))


def address(field: str, text: str) -> str:
    """An address as it is kept.

    Raises:
        Invalid: naming the field.
    """
    found = text.strip().lower()
    if len(found) > MAX_ADDRESS or not _ADDRESS.fullmatch(found):
        raise Invalid.field(field, "is not an e-mail address")
    return found


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
