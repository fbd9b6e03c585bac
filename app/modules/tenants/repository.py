"""Queries on tenants. The platform's own tenant is never among what they find."""

from collections.abc import Collection, Iterator, Sequence
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

from slugify import slugify
from sqlalchemy import (
    ColumnElement,
    Delete,
    FromClause,
    LargeBinary,
    Select,
    String,
    Table,
    Uuid,
    any_,
    cast,
    delete,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import TSVECTOR, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.core.database import Plane, scope_of
from app.core.ids import PLATFORM_TENANT
from app.core.locks import hold
from app.core.models import Base
from app.module import Keyed
from app.modules.tenants.models import Tenant, TenantQuota, TenantRecord, Workspace

T = TypeVar("T", Tenant, Workspace)
MAX_SLUG = 80
NOT_EXPORTED = {"export_chunk"}
"""The pieces of exports themselves."""
_OWN_ZONE = text("SELECT teknav_timezone()")
_ACTIVE = text("SELECT teknav_active()")


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


async def locked(session: AsyncSession, ids: Collection[UUID]) -> Sequence[Tenant]:
    """Those of these that there are, in the order in which everybody locks them."""
    return (await session.scalars(tenants().where(Tenant.id.in_(ids)).order_by(Tenant.id).with_for_update())).all()


async def tenant_by_slug(session: AsyncSession, slug: str) -> Tenant | None:
    return (await session.scalars(tenants().where(Tenant.slug == slug))).one_or_none()


async def timezone(session: AsyncSession, tenant_id: UUID) -> str | None:
    """None where there is no such tenant, or the transaction is another tenant's."""
    scope = scope_of(session)
    if scope.plane is Plane.TENANT:  # which may not read tenants: a function tells it of its own
        own: str | None = await session.scalar(_OWN_ZONE)
        return own if scope.tenant_id == tenant_id else None
    return (await session.scalars(select(Tenant.timezone).where(Tenant.id == tenant_id))).one_or_none()


async def active(session: AsyncSession) -> bool:
    return bool(await session.scalar(_ACTIVE))


def workspaces(tenant_id: UUID, words: str | None = None) -> Select[tuple[Workspace]]:
    """All of the tenant's, or those whose name or slug has `words` in it, whatever the case."""
    query = select(Workspace).where(Workspace.tenant_id == tenant_id)
    if words:
        columns = (Workspace.name, Workspace.slug)
        query = query.where(or_(*(each.icontains(words, autoescape=True) for each in columns)))
    return query


async def take_name(session: AsyncSession, name: str, rows: Select[Any], column: InstrumentedAttribute[str]) -> bool:
    """Whether one of `rows` has this name, whatever the case. Nobody else can take it until the transaction ends."""
    await hold(session, f"{column} {name.casefold()}")
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


def table_of(error: IntegrityError) -> str:
    """Which table a foreign key's refusal came from, in words: `api token`."""
    told = getattr(error.orig, "__cause__", None)
    return str(getattr(told, "table_name", None) or "something").replace("_", " ")


async def quotas(session: AsyncSession, tenant_id: UUID) -> dict[str, int]:
    """What a tenant may use at most, by the quota's name."""
    rows = await session.execute(select(TenantQuota.name, TenantQuota.most).where(TenantQuota.tenant_id == tenant_id))
    return {row.name: row.most for row in rows}


async def most_of(session: AsyncSession, name: str) -> dict[UUID, int]:
    """The tenants that have this quota, each with its most. For the platform."""
    rows = await session.execute(select(TenantQuota.tenant_id, TenantQuota.most).where(TenantQuota.name == name))
    return {row.tenant_id: row.most for row in rows}


async def set_quota(session: AsyncSession, tenant_id: UUID, name: str, most: int | None) -> None:
    if most is None:
        here = (TenantQuota.tenant_id == tenant_id, TenantQuota.name == name)
        await session.execute(delete(TenantQuota).where(*here))
        return
    query = insert(TenantQuota).values(tenant_id=tenant_id, name=name, most=most)
    await session.execute(query.on_conflict_do_update(index_elements=["tenant_id", "name"], set_={"most": most}))


async def hold_quota(session: AsyncSession, tenant_id: UUID, name: str) -> int | None:
    """The quota, if the tenant has it; then nobody else gets past here until the transaction ends.

    A lock on the row would want a right to change it, which tenants do not have.
    """
    place = f"quota {tenant_id} {name}"
    held = func.pg_advisory_xact_lock(func.hashtextextended(place, 0))
    query = select(TenantQuota.most, held).where(TenantQuota.tenant_id == tenant_id, TenantQuota.name == name)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else row.most


def rows_of(table: Table, tenant_id: UUID, most: int) -> Delete:
    """Deletes rows of a tenant, at least `most` of them or all that there are."""
    place: ColumnElement[Any] = literal_column("ctid")
    some = select(place).select_from(table).where(table.c.tenant_id == tenant_id).limit(most).scalar_subquery()
    # Of a table in partitions a place is not unique: the tenant stands here as well.
    return delete(table).where(table.c.tenant_id == tenant_id, place == any_(func.array(some)))


def everything(tenant_id: UUID) -> Select[tuple[TenantRecord]]:
    """The tenant and every row of it that has an id, of all tables, without bytes and search words."""
    parts = [_part(Tenant.__table__, Tenant.id == tenant_id)]
    parts += [_part(each, each.c.tenant_id == tenant_id) for each in _exported() if "id" in each.c]
    return select(TenantRecord).add_cte(union_all(*parts).cte("tenant_record"))


def without_ids(tenant_id: UUID) -> list[Keyed]:
    """The rows that `everything` leaves out, each table by its primary key."""
    tables = [each for each in _exported() if "id" not in each.c]
    return [Keyed(each.name, _part(each, each.c.tenant_id == tenant_id), [*each.primary_key]) for each in tables]


def _exported() -> list[Table]:
    return [each for each in Base.metadata.sorted_tables if "tenant_id" in each.c and each.name not in NOT_EXPORTED]


def _part(rows: FromClause, here: ColumnElement[bool]) -> Select[Any]:
    shown = [each for each in rows.c if not isinstance(each.type, (LargeBinary, TSVECTOR))]
    pairs = (part for each in shown for part in (literal(each.name, String()), each))
    row = func.jsonb_build_object(*pairs).label("row")
    id_ = (rows.c.id if "id" in rows.c else _made_of_key(rows)).label("id")
    return select(id_, literal(rows.description, String()).label("table"), row).where(here)


def _made_of_key(rows: FromClause) -> ColumnElement[UUID]:
    """The same id for the same row each time; older than any that was ever given."""
    words = func.concat_ws("/", literal(rows.description, String()), *(cast(each, String) for each in rows.primary_key))
    return cast(func.concat("00000000", func.substr(func.md5(words), 9)), Uuid())
