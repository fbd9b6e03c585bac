"""The rules of mail: a letter is a row and a job, written in the transaction of what it tells about."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import floor_id, new_id
from app.core.live import signal
from app.core.logging import redact
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.request import correlation_id
from app.core.secrets import Signer
from app.modules.audit.service import record, tenant_names
from app.modules.email import repository
from app.modules.email.client import UNSUBSCRIBE, folder
from app.modules.email.jobs import SendEmail, SendOtp
from app.modules.email.models import EmailLog
from app.modules.email.schemas import MAX_KEY, EmailFilter, EmailSend, Letter, Status, TemplateLetter, Ticket
from app.modules.email_preferences.service import CHOICES, address, decide, unwanted
from app.modules.email_templates.service import TRANSACTIONAL, current, version_of, write
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
SORTS = Sorts("-createdAt", {"createdAt": EmailLog.id})


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
    # A tenant's keys are apart from those of the modules' mails.
    key = letter.key if letter.key is None else f"own:{letter.key}"
    if letter.key is not None and (not 0 < len(letter.key) <= MAX_KEY or not letter.key.isprintable()):
        raise Invalid.field("deduplicationKey", f"must have 1 to {MAX_KEY} printable characters")
    if key is not None and (first := await repository.with_key(session, tenant_id, key)) is not None:
        return first
    version = await current(session, letter.template, tenant_id)
    await write(version, letter.values)
    recipient = await _recipient(session, tenant_id, letter.to)
    await require_room(session, tenant_id, EMAILS_PER_DAY)
    row: dict[str, Any] = {
        "template": letter.template,
        "template_version": version.number,
        "template_id": version.template_id,
        "category": version.category,
        "recipient": recipient,
        "props": letter.values,
        "deduplication_key": key,
    }
    written = await _write(session, row, SendEmail)
    if written is None and key is not None:
        # Another transaction was quicker; it has committed, for the insert waited for it.
        written = await repository.with_key(session, tenant_id, key)
    if written is None:
        raise Conflict("The mail with this key was deleted meanwhile: try again")
    return written


async def status_of(session: AsyncSession, email_id: UUID) -> Status | None:
    """How far a mail is; None where there is none with this id."""
    row = await repository.one(session, email_id)
    return cast(Status, row.status) if row else None


async def sent_today(session: AsyncSession, tenant_id: UUID) -> int:
    """How many mails of its own templates a tenant has wanted in the last 24 hours."""
    return await repository.count_own(session, tenant_id, datetime.now(UTC) - DAY)


async def forget(session: AsyncSession, *, recipient: str | None = None, before: datetime | None = None) -> int:
    """Delete the rows of mails to an address, or of those written before a moment; returns how many."""
    query = delete(EmailLog)
    query = query.where(EmailLog.recipient == recipient) if recipient is not None else query
    query = query.where(EmailLog.id < floor_id(before)) if before is not None else query
    gone = await session.execute(query)
    return int(getattr(gone, "rowcount", 0))


async def _write(session: AsyncSession, row: dict[str, Any], job: type[SendEmail | SendOtp]) -> UUID | None:
    tenant_id = scope_of(session).tenant_id
    written = await repository.add(
        session, row | {"id": new_id(), "tenant_id": tenant_id, "correlation_id": correlation_id()}
    )
    if written is not None:
        await enqueue(session, job(email_id=written))
        signal(session, TOPIC, written, tenant_id)
    return written


async def _recipient(session: AsyncSession, tenant_id: UUID, to: str | UUID) -> str:
    """
    Raises:
        Invalid: it is no address, or nobody of the tenant.
    """
    if isinstance(to, UUID):
        member = await repository.address_of_member(session, tenant_id, to)
        if member is None:
            raise Invalid.field("memberId", "there is no member with this id")
        return member
    return address("to", to)


class EmailService:
    """The mail log. `mailbox` is the folder mails are put into, None where they go to a mail server."""

    def __init__(self, session: AsyncSession, actor: Actor, mailbox: Path | None) -> None:
        self._session = session
        self._actor = actor
        self._mailbox = mailbox

    @property
    def kept_here(self) -> bool:
        return self._mailbox is not None

    async def search(
        self, pager: Pager, wanted: EmailFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[EmailLog]:
        """Newest first. A cursor is good for the same filter only.

        Raises:
            Forbidden (`workspace_token`): the log is the whole tenant's.
        """
        self._actor.for_whole_tenant("Mails")
        of = f"emails {scope_of(self._session).tenant_id} {wanted}"
        query = repository.fitting(wanted)
        return await pager.page(self._session, query, key=EmailLog.id, of=of, limit=limit, cursor=cursor, sorts=SORTS)

    async def get(self, email_id: UUID) -> EmailLog:
        """
        Raises:
            NotFound.
        """
        row = await repository.one(self._session, email_id)
        if row is None:
            raise NotFound("There is no such mail")
        return row

    async def send(self, wanted: EmailSend) -> EmailLog:
        """Send a mail of one of the tenant's templates; the first one where its key came before.

        Raises:
            Invalid: naming the field. QuotaExceeded.
        """
        to = wanted.member_id or wanted.to
        if to is None or (wanted.member_id and wanted.to):
            raise Invalid.field("to", "name either an address or a member")
        letter = TemplateLetter(template=wanted.template, to=to, values=wanted.values, key=wanted.deduplication_key)
        before = new_id()
        row = await self.get(await send_template(self._session, letter))
        if row.id > before:
            after = {"template": row.template, "version": row.template_version, "recipient": row.recipient}
            resource = ("email", row.id, row.recipient)
            await record(self._session, self._actor, "email.send", resource=resource, after=after)
        return row

    async def said(self, row: EmailLog) -> str | None:
        """What a mail says; None where nobody can know: it is in no folder here, or not for a tenant's eyes.

        A mail of a tenant's template is written anew. Others hold codes and links that let people in.

        Raises:
            Forbidden (`workspace_token`).
        """
        self._actor.for_whole_tenant("Mails")
        if row.template_id is not None:
            version = await version_of(self._session, row.template_id, row.template_version)
            return (await write(version, row.props)).text if version else None
        if self._mailbox is None or scope_of(self._session).plane is Plane.TENANT:
            return None
        try:
            message = message_from_bytes((self._mailbox / f"{row.id}.eml").read_bytes(), policy=policy.default)
        except OSError:
            return None
        plain = message.get_body(("plain",))
        return str(plain.get_content()) if plain else None


@dataclass(frozen=True, slots=True)
class Offer:
    """What the page behind a mail's link tells: whose mails of which category, to whom, and whether they are sent."""

    tenant: str
    recipient: str
    category: str
    wanted: bool


class Unsubscribing:
    """The way out that stands in a mail, for whoever holds it. The session is the system's: nobody is signed in."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._signer: Signer = session.info["signer"]

    async def offer(self, ticket: str) -> Offer | None:
        """What can be chosen; None where the link is not ours, or its mail is no longer known."""
        row = await self._mail(ticket)
        return await self._offer(row) if row else None

    async def choose(self, ticket: str, choice: str) -> Offer | None:
        """Stop the mails of this category, or `all` that people can do without; or get them `again`.

        Raises:
            Invalid: there is no such choice.
        """
        if choice not in CHOICES:
            raise Invalid.field("choice", f"must be one of {', '.join(CHOICES)}")
        row = await self._mail(ticket)
        if row is None:
            return None
        await decide(self._session, row.tenant_id, row.recipient, row.category, choice)
        actor = Actor("anonymous", None, row.recipient, frozenset(), Plane.SYSTEM)
        resource, after = ("email", row.id, row.recipient), {"choice": choice, "category": row.category}
        await record(self._session, actor, "email.unsubscribe", resource=resource, after=after, tenant_id=row.tenant_id)
        return await self._offer(row)

    async def _mail(self, ticket: str) -> EmailLog | None:
        id_ = self._signer.read_ticket(UNSUBSCRIBE, ticket)
        row = await repository.one(self._session, id_) if id_ else None
        return row if row is not None and row.category != TRANSACTIONAL else None

    async def _offer(self, row: EmailLog) -> Offer:
        names = await tenant_names(self._session, [row.tenant_id])
        why = await unwanted(self._session, row.tenant_id, row.recipient, row.category)
        return Offer(names.get(row.tenant_id, ""), row.recipient, row.category, why is None)
