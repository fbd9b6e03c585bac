"""The rules of what is not sent: people choose by category, and an address that is no good is left alone."""

import re
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Invalid, NotFound
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.queries import text_of
from app.modules.audit.service import record
from app.modules.email_preferences import repository
from app.modules.email_preferences.models import EmailPreference, EmailSuppression, Reason
from app.modules.email_templates.service import TRANSACTIONAL

__all__ = ["CHOICES", "TOPIC", "EmailPreferences", "Reason", "address", "choose", "decide", "suppress", "unwanted"]
TOPIC = "email_suppressions"
EVERYTHING = "*"
"""In place of a category: all mails that people can do without."""
CHOICES = ("category", "all", "again")
MAX_ADDRESS = 254
SORTS = Sorts("-createdAt", {"createdAt": EmailSuppression.id, "recipient": EmailSuppression.recipient})
CHOICE_SORTS = Sorts("-createdAt", {"createdAt": EmailPreference.id, "recipient": EmailPreference.recipient})
_CATEGORY = re.compile(r"\*|[a-z0-9]+([-_][a-z0-9]+)*")
_ADDRESS = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[a-z0-9-]+(\.[a-z0-9-]+)+")


def address(field: str, text: str) -> str:
    """An address as it is kept: what is compared, and what goes into a header.

    Raises:
        Invalid: naming the field.
    """
    found = text.strip().lower()
    if len(found) > MAX_ADDRESS or not _ADDRESS.fullmatch(found):
        raise Invalid.field(field, "is not an e-mail address")
    return found


async def unwanted(session: AsyncSession, tenant_id: UUID, recipient: str, category: str) -> str | None:
    """Why a mail of this category is not to be sent to this address; None where it is.

    A transactional mail is, but where the address itself is no good.
    """
    reason = await repository.reason_of(session, tenant_id, recipient)
    if category == TRANSACTIONAL:
        return None if reason == Reason.UNSUBSCRIBED else reason
    if reason is not None:
        return reason
    off = await repository.turned_off(session, tenant_id, recipient, (category, EVERYTHING))
    return f"{Reason.UNSUBSCRIBED} from {category}" if off else None


async def choose(
    session: AsyncSession, tenant_id: UUID, recipient: str, category: str, *, subscribed: bool
) -> EmailPreference:
    """Keep whether an address gets the mails of a category.

    Raises:
        Invalid (`category`): nobody can do without those, or there can be no such category.
    """
    if category == TRANSACTIONAL or not _CATEGORY.fullmatch(category):
        said = "transactional mails are always sent" if category == TRANSACTIONAL else "is not a category"
        raise Invalid.field("category", said)
    row = await repository.put_preference(session, tenant_id, recipient, category, subscribed)
    signal(session, TOPIC, row.id, tenant_id)
    return row


async def decide(session: AsyncSession, tenant_id: UUID, recipient: str, category: str, choice: str) -> None:
    """One of `CHOICES`, by whoever got the mail: no more of its category, no more of `all`, or both `again`."""
    if choice == "again":
        await choose(session, tenant_id, recipient, category, subscribed=True)
    if choice in ("all", "again"):
        category = EVERYTHING
    await choose(session, tenant_id, recipient, category, subscribed=choice == "again")


async def suppress(
    session: AsyncSession, tenant_id: UUID, recipient: str, reason: Reason, email_id: UUID | None = None
) -> EmailSuppression:
    """Send nothing more to an address. What weighs more takes the place of `unsubscribed`."""
    row = await repository.put_suppression(session, tenant_id, recipient, reason, email_id)
    signal(session, TOPIC, row.id, tenant_id)
    return row


class EmailPreferences:
    """What the session's transaction may see of it. Every change is audited in its transaction."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def suppressions(
        self,
        pager: Pager,
        *,
        text: str | None = None,
        reason: Reason | None = None,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[EmailSuppression]:
        """Newest first; `text` is how the address begins."""
        self._actor.for_whole_tenant("Mails")
        query = repository.suppressions(text_of("q", text), reason)
        of = f"email_suppressions {scope_of(self._session).tenant_id} {text} {reason}"
        key = EmailSuppression.id
        return await pager.page(self._session, query, key=key, of=of, limit=limit, cursor=cursor, sorts=SORTS)

    async def preferences(
        self, pager: Pager, *, text: str | None = None, limit: int = 25, cursor: str | None = None
    ) -> Page[EmailPreference]:
        """Newest first; `text` is how the address begins."""
        self._actor.for_whole_tenant("Mails")
        query = repository.preferences(text_of("q", text))
        of = f"email_preferences {scope_of(self._session).tenant_id} {text}"
        key = EmailPreference.id
        return await pager.page(self._session, query, key=key, of=of, limit=limit, cursor=cursor, sorts=CHOICE_SORTS)

    async def suppress(self, recipient: str, reason: Reason) -> EmailSuppression:
        """
        Raises:
            Invalid: it is not an address.
        """
        self._actor.for_whole_tenant("Mails")
        tenant_id = scope_of(self._session).tenant_id
        row = await suppress(self._session, tenant_id, address("recipient", recipient), reason)
        await self._trace("email.suppression.create", row, {"recipient": row.recipient, "reason": row.reason})
        return row

    async def allow(self, suppression_id: UUID) -> EmailSuppression:
        """Send to the address again.

        Raises:
            NotFound.
        """
        self._actor.for_whole_tenant("Mails")
        row = await self._session.get(EmailSuppression, suppression_id, with_for_update=True)
        if row is None:
            raise NotFound("There is no such suppression")
        await self._session.delete(row)
        await self._trace("email.suppression.delete", row, {"deleted": True})
        signal(self._session, TOPIC, row.id, row.tenant_id)
        return row

    async def choose(self, recipient: str, category: str, subscribed: bool) -> EmailPreference:
        """
        Raises:
            Invalid: naming the field.
        """
        self._actor.for_whole_tenant("Mails")
        tenant_id, found = scope_of(self._session).tenant_id, address("recipient", recipient)
        row = await choose(self._session, tenant_id, found, category, subscribed=subscribed)
        await self._trace("email.preference.set", row, {"category": category, "subscribed": subscribed})
        return row

    async def _trace(self, action: str, row: EmailSuppression | EmailPreference, after: dict[str, Any]) -> None:
        resource = (f"email_{action.split('.')[1]}", row.id, row.recipient)
        await record(self._session, self._actor, action, resource=resource, after=after, tenant_id=row.tenant_id)
