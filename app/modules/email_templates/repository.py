"""Queries on mail templates. Deleted ones are found by the mails that were written with them, and by nobody else."""

from typing import Any, cast
from uuid import UUID

from sqlalchemy import Select, Table, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.modules.email_templates.models import EmailTemplate, EmailTemplateVersion

MOST_VERSIONS = 100
_table = cast(Table, EmailTemplate.__table__)


def templates(text: str | None = None, tenant_id: UUID | None = None) -> Select[tuple[EmailTemplate]]:
    """Those whose name has `text` in it."""
    query = select(EmailTemplate).where(EmailTemplate.deleted_at.is_(None))
    if text:
        query = query.where(EmailTemplate.name.icontains(text, autoescape=True))
    return query.where(EmailTemplate.tenant_id == tenant_id) if tenant_id is not None else query


async def add(session: AsyncSession, values: dict[str, Any]) -> bool:
    """Insert a template; False when its name is taken, also by a transaction that committed just now."""
    query = insert(_table).values(values).on_conflict_do_nothing().returning(_table.c.id)
    return await session.scalar(query) is not None


async def one(session: AsyncSession, template_id: UUID, *, lock: bool = False) -> EmailTemplate | None:
    query = templates().where(EmailTemplate.id == template_id)
    found: EmailTemplate | None = await session.scalar(query.with_for_update() if lock else query)
    return found


async def version(session: AsyncSession, template_id: UUID, number: int) -> EmailTemplateVersion | None:
    query = select(EmailTemplateVersion).where(
        EmailTemplateVersion.template_id == template_id, EmailTemplateVersion.number == number
    )
    found: EmailTemplateVersion | None = await session.scalar(query)
    return found


async def current(session: AsyncSession, tenant_id: UUID, name: str) -> EmailTemplateVersion | None:
    """What the tenant's template of this name says now."""
    query = (
        select(EmailTemplateVersion)
        .join(EmailTemplate, EmailTemplate.id == EmailTemplateVersion.template_id)
        .where(EmailTemplate.tenant_id == tenant_id, EmailTemplate.name == name, EmailTemplate.deleted_at.is_(None))
        .where(EmailTemplateVersion.number == EmailTemplate.latest)
    )
    found: EmailTemplateVersion | None = await session.scalar(query)
    return found


async def versions(session: AsyncSession, template_id: UUID) -> list[EmailTemplateVersion]:
    """The last hundred, newest first."""
    of = EmailTemplateVersion.template_id == template_id
    query = select(EmailTemplateVersion).where(of).order_by(EmailTemplateVersion.number.desc())
    return list(await session.scalars(query.limit(MOST_VERSIONS)))
