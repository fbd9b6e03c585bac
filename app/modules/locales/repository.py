"""Queries on languages and texts of the interface."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.core.ids import new_id
from app.modules.locales.models import InterfaceText, Locale
from app.modules.locales.schemas import TextFilter

AT_ONCE = 1_000


async def locales(session: AsyncSession, tenant_id: UUID) -> Sequence[Locale]:
    query = select(Locale).where(Locale.tenant_id == tenant_id).order_by(Locale.place, Locale.code)
    return (await session.scalars(query)).all()


async def counts(session: AsyncSession, tenant_id: UUID) -> dict[UUID, int]:
    """How many texts each language has; those that have none are left out."""
    query = select(InterfaceText.locale_id, func.count()).where(InterfaceText.tenant_id == tenant_id)
    return {row[0]: row[1] for row in await session.execute(query.group_by(InterfaceText.locale_id))}


async def texts(session: AsyncSession, locale: Locale, keys: Collection[str] | None = None) -> dict[str, str]:
    """What a language says, by key: everywhere, or at these keys."""
    query = select(InterfaceText.key, InterfaceText.text).where(_of(locale))
    if keys is not None:
        query = query.where(InterfaceText.key.in_(keys))
    return {row.key: row.text for row in await session.execute(query.order_by(InterfaceText.key))}


def fitting(default: Locale, locale: Locale, wanted: TextFilter) -> Select[tuple[InterfaceText]]:
    """The default language's texts whose key, or text in either language, has the words in it."""
    own = aliased(InterfaceText)
    same = (own.tenant_id == InterfaceText.tenant_id, own.locale_id == locale.id, own.key == InterfaceText.key)
    query = select(InterfaceText).where(_of(default))
    if wanted.text:
        said = exists().where(*same, own.text.icontains(wanted.text, autoescape=True))
        found = (InterfaceText.key, InterfaceText.text)
        query = query.where(or_(said, *(column.icontains(wanted.text, autoescape=True) for column in found)))
    if wanted.missing:
        query = query.where(~exists().where(*same))
    return query


async def put(session: AsyncSession, locale: Locale, given: Mapping[str, str]) -> int:
    """Write texts into a language; returns how many are other ones than before."""
    written, rows = 0, list(given.items())
    for begin in range(0, len(rows), AT_ONCE):
        new = insert(InterfaceText).values(
            [
                {"id": new_id(), "tenant_id": locale.tenant_id, "locale_id": locale.id, "key": key, "text": text}
                for key, text in rows[begin : begin + AT_ONCE]
            ]
        )
        done = await session.scalars(
            new.on_conflict_do_update(
                constraint="uq_interface_text_key",
                set_={"text": new.excluded.text, "updated_at": func.now()},
                where=InterfaceText.text != new.excluded.text,
            ).returning(InterfaceText.id)
        )
        written += len(done.all())
    return written


async def discard(session: AsyncSession, locale: Locale, keys: Collection[str]) -> int:
    """Delete texts of a language; those of the default one from all languages. Returns how many are gone."""
    here = InterfaceText.tenant_id == locale.tenant_id if locale.is_default else _of(locale)
    gone = await session.scalars(
        delete(InterfaceText).where(here, InterfaceText.key.in_(keys)).returning(InterfaceText.id)
    )
    return len(gone.all())


def _of(locale: Locale) -> ColumnElement[bool]:
    return (InterfaceText.tenant_id == locale.tenant_id) & (InterfaceText.locale_id == locale.id)
