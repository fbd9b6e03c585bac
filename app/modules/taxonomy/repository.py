"""Queries on categories and tags, and on which articles stand under them."""

from collections.abc import Collection, Sequence
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
from slugify import slugify
from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from app.core.direct import direct
from app.core.ids import new_id
from app.modules.taxonomy.models import ArticleCategory, ArticleTag, Category, Tag
from app.modules.taxonomy.schemas import MAX_NAME, TermFilter

T = TypeVar("T", Tag, Category)
Link = type[ArticleTag] | type[ArticleCategory]
_INTO: dict[Link, Insert] = {ArticleTag: insert(ArticleTag), ArticleCategory: insert(ArticleCategory)}
_LINKS = """
    SELECT l.article_id, 'tag' AS kind, t.name, t.slug
    FROM unnest($1::uuid[], $2::uuid[]) a(tenant_id, article_id)
        JOIN article_tag l USING (tenant_id, article_id) JOIN tag t ON t.tenant_id = l.tenant_id AND t.id = l.term_id
    UNION ALL
    SELECT l.article_id, 'category', c.name, c.slug
    FROM unnest($1::uuid[], $2::uuid[]) a(tenant_id, article_id)
        JOIN article_category l USING (tenant_id, article_id)
        JOIN category c ON c.tenant_id = l.tenant_id AND c.id = l.term_id
    ORDER BY name, slug
"""


def link_of(kind: type[Tag] | type[Category]) -> Link:
    return ArticleTag if kind is Tag else ArticleCategory


def _of(link: Link, kind: type[T]) -> ColumnElement[bool]:
    """With the tenant, by which the index begins: the platform's transactions see the links of all of them."""
    return and_(kind.tenant_id == link.tenant_id, kind.id == link.term_id)


def fitting(kind: type[T], wanted: TermFilter) -> Select[tuple[T]]:
    query = select(kind)
    if wanted.tenant_id is not None:
        query = query.where(kind.tenant_id == wanted.tenant_id)
    if wanted.text is not None:
        query = query.where(kind.name.icontains(wanted.text, autoescape=True))
    return query


async def counts(session: AsyncSession, kind: type[T], ids: Collection[UUID]) -> dict[UUID, int]:
    """How many articles each has; those that have none are left out."""
    link = link_of(kind)
    query = select(link.term_id, func.count()).join(kind, _of(link, kind)).where(kind.id.in_(ids))
    query = query.group_by(link.term_id)
    return {row[0]: row[1] for row in await session.execute(query)}


async def number(session: AsyncSession, kind: type[T], tenant_id: UUID) -> int:
    return await session.scalar(select(func.count()).where(kind.tenant_id == tenant_id)) or 0


async def taken(session: AsyncSession, kind: type[T], tenant_id: UUID, but: UUID | None, *same: Any) -> bool:
    query = select(kind.id).where(kind.tenant_id == tenant_id, kind.id.is_distinct_from(but), *same)
    return bool(await session.scalar(select(query.exists())))


async def name_taken(
    session: AsyncSession, kind: type[T], tenant_id: UUID, but: UUID | None, name: str, parent_id: UUID | None
) -> bool:
    """Whether another tag, or another category beside it, is called so."""
    beside = [Category.parent_id.is_not_distinct_from(parent_id)] if kind is Category else []
    return await taken(session, kind, tenant_id, but, func.lower(kind.name) == func.lower(name), *beside)


async def children(session: AsyncSession, row: Category) -> Sequence[Category]:
    return (await session.scalars(select(Category).where(Category.parent_id == row.id).order_by(Category.id))).all()


async def tags_named(session: AsyncSession, tenant_id: UUID, names: Collection[str]) -> Sequence[Tag]:
    """Those that are there; they stay until this transaction has ended."""
    same = func.lower(Tag.name).in_([func.lower(name) for name in names])
    query = select(Tag).where(Tag.tenant_id == tenant_id, same).order_by(Tag.id)
    return (await session.scalars(query.with_for_update(read=True, key_share=True))).all()


async def lock(session: AsyncSession, kind: type[T], ids: Collection[UUID]) -> bool:
    """Hold them, in an order that is everybody's, so that no article comes under them; whether all are still there."""
    held = await session.scalars(select(kind.id).where(kind.id.in_(ids)).order_by(kind.id).with_for_update())
    return len(held.all()) == len(ids)


async def add_tag(session: AsyncSession, tenant_id: UUID, name: str) -> Tag | None:
    """A new tag of that name; None when there is one by now, perhaps of a transaction that committed just now."""
    id_ = new_id()
    for slug in (slug_of(name), f"{slug_of(name)}-{id_.hex[-7:]}"):
        values = {"id": id_, "tenant_id": tenant_id, "name": name, "slug": slug}
        added: Tag | None = await session.scalar(insert(Tag).values(values).on_conflict_do_nothing().returning(Tag))
        if added is not None:
            return added
    return None


async def category_at(session: AsyncSession, tenant_id: UUID, parent_id: UUID | None, name: str) -> Category | None:
    same = (Category.parent_id.is_not_distinct_from(parent_id), func.lower(Category.name) == func.lower(name))
    found: Category | None = await session.scalar(select(Category).where(Category.tenant_id == tenant_id, *same))
    return found


async def categories_called(session: AsyncSession, tenant_id: UUID, slugs: Collection[str]) -> Sequence[Category]:
    """Those that are there; they stay until this transaction has ended."""
    query = select(Category).where(Category.tenant_id == tenant_id, Category.slug.in_(slugs)).order_by(Category.id)
    return (await session.scalars(query.with_for_update(read=True, key_share=True))).all()


def below(row: Category) -> ColumnElement[bool]:
    """A category and all that stand under it."""
    under = func.starts_with(Category.path, f"{row.path} ")
    return and_(Category.tenant_id == row.tenant_id, or_(Category.path == row.path, under))


async def height(session: AsyncSession, row: Category) -> int:
    """How many levels stand under it."""
    paths = await session.scalars(select(Category.path).where(below(row)))
    return max(path.count(" ") for path in paths) - row.depth


async def repath(session: AsyncSession, row: Category, path: str) -> None:
    """Give a category, and all that stand under it, their new places."""
    moved = literal(path).concat(func.substr(Category.path, len(row.path) + 1))
    query = update(Category).where(below(row)).values(path=moved)
    await session.execute(query.execution_options(synchronize_session=False))


async def links(session: AsyncSession, articles: Collection[tuple[UUID, UUID]]) -> Sequence[asyncpg.Record]:
    """What articles, each named by its tenant and its id, stand under: `article_id`, `kind`, `name` and `slug`, in the
    order of names. Every list of articles asks this, so it is a statement of its own (decision 0036).
    """
    tenants, ids = zip(*articles, strict=True) if articles else ((), ())
    found: list[asyncpg.Record] = await (await direct(session)).connection.fetch(_LINKS, tenants, ids)
    return found


async def relink(session: AsyncSession, link: Link, tenant_id: UUID, article_id: UUID, ids: Collection[UUID]) -> None:
    """Have an article stand under these, and no others."""
    here = (link.tenant_id == tenant_id, link.article_id == article_id)
    await session.execute(delete(link).where(*here, link.term_id.not_in(ids)))
    rows = [{"id": new_id(), "tenant_id": tenant_id, "article_id": article_id, "term_id": id_} for id_ in sorted(ids)]
    if rows:
        await session.execute(_INTO[link].values(rows).on_conflict_do_nothing())


async def hand_over(session: AsyncSession, link: Link, term: Tag | Category, to: UUID) -> None:
    """What stands under one stands under the other from now on, once."""
    other, here = aliased(link), (link.tenant_id == term.tenant_id, link.term_id == term.id)
    both = exists().where(other.tenant_id == link.tenant_id, other.article_id == link.article_id, other.term_id == to)
    await session.execute(update(link).where(*here, ~both).values(term_id=to))
    await session.execute(delete(link).where(*here))


def under(article_id: InstrumentedAttribute[UUID], tag: str | None, category: str | None) -> list[ColumnElement[bool]]:
    """That an article has a tag, and stands under a category or one below it; both by slug."""
    found: list[ColumnElement[bool]] = []
    if tag is not None:
        tagged = select(ArticleTag.article_id).join(Tag, Tag.id == ArticleTag.term_id).where(Tag.slug == tag)
        found.append(article_id.in_(tagged))
    if category is not None:
        top = aliased(Category)
        within = or_(Category.path == top.path, func.starts_with(Category.path, top.path.concat(" ")))
        filed = (
            select(ArticleCategory.article_id)
            .join(Category, Category.id == ArticleCategory.term_id)
            .join(top, and_(top.tenant_id == Category.tenant_id, within))
            .where(top.slug == category)
        )
        found.append(article_id.in_(filed))
    return found


def slug_of(name: str) -> str:
    return slugify(name, allow_unicode=True, max_length=MAX_NAME, word_boundary=True) or "term"
