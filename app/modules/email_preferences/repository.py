"""Queries on what is not sent."""

from typing import Any, cast
from uuid import UUID

from sqlalchemy import Select, Table, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ids import new_id
from app.modules.email_preferences.models import EmailPreference, EmailSuppression, Reason

_preference = cast(Table, EmailPreference.__table__)
_suppression = cast(Table, EmailSuppression.__table__)


def suppressions(recipient: str | None = None, reason: str | None = None) -> Select[tuple[EmailSuppression]]:
    """`recipient` is how the address begins."""
    query = select(EmailSuppression)
    if recipient:
        query = query.where(EmailSuppression.recipient.startswith(recipient.lower(), autoescape=True))
    return query.where(EmailSuppression.reason == reason) if reason else query


def preferences(recipient: str | None = None) -> Select[tuple[EmailPreference]]:
    """`recipient` is how the address begins."""
    query = select(EmailPreference)
    return query.where(EmailPreference.recipient.startswith(recipient.lower(), autoescape=True)) if recipient else query


async def reason_of(session: AsyncSession, tenant_id: UUID, recipient: str) -> str | None:
    of = (EmailSuppression.tenant_id == tenant_id, EmailSuppression.recipient == recipient)
    found: str | None = await session.scalar(select(EmailSuppression.reason).where(*of))
    return found


async def turned_off(session: AsyncSession, tenant_id: UUID, recipient: str, categories: tuple[str, ...]) -> bool:
    """Whether the address does not want one of these."""
    query = select(EmailPreference.id).where(
        EmailPreference.tenant_id == tenant_id,
        EmailPreference.recipient == recipient,
        EmailPreference.category.in_(categories),
        EmailPreference.subscribed.is_(False),
    )
    return await session.scalar(query.limit(1)) is not None


async def put_preference(
    session: AsyncSession, tenant_id: UUID, recipient: str, category: str, subscribed: bool
) -> EmailPreference:
    change: dict[str, Any] = {"subscribed": subscribed, "version": _preference.c.version + 1, "updated_at": func.now()}
    values = {"id": new_id(), "tenant_id": tenant_id, "recipient": recipient, "category": category}
    query = insert(_preference).values(values | {"subscribed": subscribed})
    kept = query.on_conflict_do_update(index_elements=["tenant_id", "recipient", "category"], set_=change)
    id_ = (await session.execute(kept.returning(_preference.c.id))).scalar_one()
    return await session.get_one(EmailPreference, id_, populate_existing=True)


async def put_suppression(
    session: AsyncSession, tenant_id: UUID, recipient: str, reason: Reason, email_id: UUID | None
) -> EmailSuppression:
    """What weighs more takes the place of `unsubscribed`; else the first reason stays."""
    change: dict[str, Any] = {
        "reason": str(reason),
        "email_id": email_id,
        "version": _suppression.c.version + 1,
        "updated_at": func.now(),
    }
    values = {"id": new_id(), "tenant_id": tenant_id, "recipient": recipient, "reason": str(reason)}
    weaker = (_suppression.c.reason == str(Reason.UNSUBSCRIBED)) & (_suppression.c.reason != str(reason))
    query = insert(_suppression).values(values | {"email_id": email_id})
    await session.execute(
        query.on_conflict_do_update(index_elements=["tenant_id", "recipient"], set_=change, where=weaker)
    )
    of = (EmailSuppression.tenant_id == tenant_id, EmailSuppression.recipient == recipient)
    again = select(EmailSuppression).where(*of).execution_options(populate_existing=True)
    return (await session.execute(again)).scalar_one()
