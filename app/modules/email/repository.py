"""Queries on mails."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Select, Table, and_, column, func, select
from sqlalchemy import table as sql_table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ids import floor_id
from app.core.queries import between
from app.core.signs import Sign, Weight, counted
from app.core.trace import MOST_STEPS, Step
from app.modules.email.models import EmailLog
from app.modules.email.schemas import EmailFilter

_table = cast(Table, EmailLog.__table__)
LATE = timedelta(minutes=10)
"""A mail that has not left by then is stuck."""
_MEMBER = sql_table("tenant_member", column("id"), column("tenant_id"), column("email"))


def fitting(wanted: EmailFilter) -> Select[tuple[EmailLog]]:
    query = select(EmailLog)
    if wanted.recipient:
        query = query.where(EmailLog.recipient.startswith(wanted.recipient.lower(), autoescape=True))
    if wanted.status:
        query = query.where(EmailLog.status == wanted.status)
    if wanted.template:
        query = query.where(EmailLog.template == wanted.template)
    if wanted.tenant_id:
        query = query.where(EmailLog.tenant_id == wanted.tenant_id)
    return between(query, EmailLog.id, wanted.since, wanted.until)


async def one(session: AsyncSession, email_id: UUID) -> EmailLog | None:
    found: EmailLog | None = await session.scalar(select(EmailLog).where(EmailLog.id == email_id))
    return found


async def add(session: AsyncSession, values: dict[str, Any]) -> UUID | None:
    """Insert a mail; None when one of the tenant has its key, also by a transaction that committed just now."""
    query = insert(_table).values(values).on_conflict_do_nothing().returning(_table.c.id)
    written: UUID | None = await session.scalar(query)
    return written


async def with_key(session: AsyncSession, tenant_id: UUID, key: str) -> UUID | None:
    of = (EmailLog.tenant_id == tenant_id, EmailLog.deduplication_key == key)
    found: UUID | None = await session.scalar(select(EmailLog.id).where(*of))
    return found


async def count_own(session: AsyncSession, tenant_id: UUID, since: datetime) -> int:
    """How many mails of its own templates a tenant has wanted since then."""
    of = (EmailLog.tenant_id == tenant_id, EmailLog.id >= floor_id(since), EmailLog.template_id.is_not(None))
    return await session.scalar(select(func.count()).select_from(EmailLog).where(*of)) or 0


async def address_of_member(session: AsyncSession, tenant_id: UUID, member_id: UUID) -> str | None:
    of = (_MEMBER.c.tenant_id == tenant_id, _MEMBER.c.id == member_id)
    found: str | None = await session.scalar(select(_MEMBER.c.email).where(*of))
    return found


async def steps(session: AsyncSession, correlation_id: UUID) -> list[Step]:
    """The mails of a chain of cause and effect, the first one first."""
    query = select(EmailLog).where(EmailLog.correlation_id == correlation_id).order_by(EmailLog.id).limit(MOST_STEPS)
    return [
        Step(
            "mail",
            f"{row.template} to {row.recipient}",
            row.status,
            row.created_at,
            row.sent_at,
            open=row.status == "queued",
            note=row.error,
            path=f"/emails/{row.id}",
            tenant_id=row.tenant_id,
        )
        for row in await session.scalars(query)
    ]


async def signs(session: AsyncSession) -> list[Sign]:
    """Whether mails leave: those of the last day."""
    now = datetime.now(UTC)
    late = and_(EmailLog.status == "queued", EmailLog.created_at < now - LATE)
    query = select(
        func.count().filter(EmailLog.status == "sent"),
        func.count().filter(EmailLog.status == "failed"),
        func.count().filter(late),
    ).where(EmailLog.id >= floor_id(now - timedelta(days=1)))
    sent, failed, stuck = (await session.execute(query)).one()
    value, day = f"{sent:,}", f"from={now - timedelta(days=1):%Y-%m-%d}"
    if stuck:
        text = f"{counted(stuck, 'mail')} should have left by now"
        return [Sign("Mail", value, text, Weight.BAD, f"/emails?status=queued&{day}")]
    if failed:
        text = f"{counted(failed, 'mail')} could not be sent since yesterday"
        return [Sign("Mail", value, text, Weight.WARN, f"/emails?status=failed&{day}")]
    return [Sign("Mail", value, f"{counted(sent, 'mail')} sent in 24 hours", Weight.OK, "/emails")]
