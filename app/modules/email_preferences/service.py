"""The rules of what is not sent: people choose by category, and an address that is no good is left alone."""

from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ids import new_id
from app.core.live import signal
from app.modules.email_preferences.models import EmailPreference, EmailSuppression, Reason
from app.modules.email_templates.service import TRANSACTIONAL

__all__ = ["TOPIC", "Reason", "choose", "suppress", "unwanted"]
TOPIC = "email_suppressions"
_preference = cast(Table, EmailPreference.__table__)
_suppression = cast(Table, EmailSuppression.__table__)


async def unwanted(session: AsyncSession, tenant_id: UUID, recipient: str, category: str) -> str | None:
    """Why a mail of this category is not to be sent to this address; None where it is.

    A transactional mail is, but where the address itself is no good.
    """
    of = (EmailSuppression.tenant_id == tenant_id, EmailSuppression.recipient == recipient)
    reason: str | None = await session.scalar(select(EmailSuppression.reason).where(*of))
    if category == TRANSACTIONAL:
        return None if reason == Reason.UNSUBSCRIBED else reason
    if reason is not None:
        return reason
    chosen = (EmailPreference.tenant_id == tenant_id, EmailPreference.recipient == recipient)
    query = select(EmailPreference.subscribed).where(*chosen, EmailPreference.category == category)
    return f"{Reason.UNSUBSCRIBED} from {category}" if await session.scalar(query) is False else None


async def choose(session: AsyncSession, tenant_id: UUID, recipient: str, category: str, subscribed: bool) -> None:
    """Keep whether an address gets the mails of a category, which is not `transactional`."""
    values = {"tenant_id": tenant_id, "recipient": recipient, "category": category, "subscribed": subscribed}
    change: dict[str, Any] = {"subscribed": subscribed, "version": _preference.c.version + 1, "updated_at": func.now()}
    query = insert(_preference).values(id=new_id(), **values)
    await session.execute(
        query.on_conflict_do_update(index_elements=["tenant_id", "recipient", "category"], set_=change)
    )
    signal(session, TOPIC, tenant_id, tenant_id)


async def suppress(
    session: AsyncSession, tenant_id: UUID, recipient: str, reason: Reason, email_id: UUID | None = None
) -> UUID:
    """Send nothing more to an address; returns the row's id. What weighs more takes the place of `unsubscribed`."""
    values = {"tenant_id": tenant_id, "recipient": recipient, "reason": str(reason), "email_id": email_id}
    change: dict[str, Any] = {
        "reason": str(reason),
        "email_id": email_id,
        "version": _suppression.c.version + 1,
        "updated_at": func.now(),
    }
    query = insert(_suppression).values(id=new_id(), **values)
    kept = query.on_conflict_do_update(
        index_elements=["tenant_id", "recipient"],
        set_=change,
        where=(_suppression.c.reason == Reason.UNSUBSCRIBED) & (_suppression.c.reason != str(reason)),
    ).returning(_suppression.c.id)
    id_: UUID | None = await session.scalar(kept)
    if id_ is None:
        found = select(EmailSuppression.id).where(
            EmailSuppression.tenant_id == tenant_id, EmailSuppression.recipient == recipient
        )
        id_ = (await session.execute(found)).scalar_one()
    signal(session, TOPIC, id_, tenant_id)
    return id_
