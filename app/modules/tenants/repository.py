"""Queries on tenants. The platform's own tenant is never among what they find."""

from collections.abc import Iterator
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

from slugify import slugify
from sqlalchemy import Select, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.core.ids import PLATFORM_TENANT
from app.modules.tenants.models import Tenant, Workspace

T = TypeVar("T", Tenant, Workspace)
MAX_SLUG = 80
_NAME_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


def tenants(words: str | None = None, status: str | None = None) -> Select[tuple[Tenant]]:
    """All of them, or those whose name or slug has `words` in it, whatever the case."""
    query = select(Tenant).where(Tenant.id != PLATFORM_TENANT)
    if words:
        query = query.where(
            or_(Tenant.name.icontains(words, autoescape=True), Tenant.slug.icontains(words, autoescape=True))
        )
    return query.where(Tenant.status == status) if status else query


async def tenant(session: AsyncSession, tenant_id: UUID, *, lock: bool = False) -> Tenant | None:
    query = tenants().where(Tenant.id == tenant_id)
    return (await session.scalars(query.with_for_update() if lock else query)).one_or_none()


async def tenant_by_slug(session: AsyncSession, slug: str) -> Tenant | None:
    return (await session.scalars(tenants().where(Tenant.slug == slug))).one_or_none()


def workspaces(tenant_id: UUID) -> Select[tuple[Workspace]]:
    return select(Workspace).where(Workspace.tenant_id == tenant_id)


async def take_name(session: AsyncSession, name: str, rows: Select[Any], column: InstrumentedAttribute[str]) -> bool:
    """Whether one of `rows` has this name, whatever the case. Nobody else can take it until the transaction ends."""
    await session.execute(_NAME_LOCK, {"name": f"{column} {name.casefold()}"})
    return bool(await session.scalar(select(rows.where(func.lower(column) == func.lower(name)).exists())))


async def add(session: AsyncSession, row: type[T], values: dict[str, object], taken: Select[tuple[str]]) -> T:
    """Insert under the first slug of the name that is free: `press`, `press-2`, `press-3`.

    Args:
        taken: the slugs to keep clear of, before it is known which begin alike.
    """
    base = slugify(str(values["name"]), allow_unicode=True, max_length=MAX_SLUG) or str(row.__tablename__)
    used = set(await session.scalars(taken.where(row.slug.startswith(base, autoescape=True))))
    for slug in _variants(base):
        if slug in used:
            continue
        # Somebody may take it between the look and the insert: then the next one it is.
        query = insert(row).values(**values, slug=slug).on_conflict_do_nothing().returning(row)
        made = await session.scalar(query)
        if made is not None:
            return made
    raise AssertionError  # the variants do not end


def _variants(base: str) -> Iterator[str]:
    yield base
    for n in count(2):
        yield f"{base}-{n}"
