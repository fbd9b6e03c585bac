"""Queries on articles. Deleted ones are never found."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from slugify import slugify
from sqlalchemy import Select, column, exists, func, select, table, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app.core.database import Plane, scope_of
from app.core.ids import PLATFORM_TENANT
from app.modules.articles.models import Article, Status

MAX_SLUG = 200
Workspaces = frozenset[UUID] | None
"""Those whose articles the caller may treat; None for all."""
_WORKSPACE = table("workspace", column("id"), column("tenant_id"))
_TENANT = table("tenant", column("id"), column("name"))


@dataclass(frozen=True, slots=True)
class ArticleFilter:
    """Which articles; None means any. `title` is a part of the title, in any case."""

    tenant_id: UUID | None = None
    status: Status | None = None
    language: str | None = None
    title: str | None = None


def fitting(wanted: ArticleFilter, *, workspaces: Workspaces = None) -> Select[tuple[Article]]:
    """The articles that fit, without their bodies, in no order."""
    bodies = (defer(Article.body_markdown, raiseload=True), defer(Article.body_html, raiseload=True))
    query = select(Article).where(Article.deleted_at.is_(None)).options(*bodies)
    if workspaces is not None:
        query = query.where(Article.workspace_id.in_(workspaces))
    if wanted.tenant_id is not None:
        query = query.where(Article.tenant_id == wanted.tenant_id)
    if wanted.status is not None:
        query = query.where(Article.status == wanted.status)
    if wanted.language is not None:
        query = query.where(Article.language == wanted.language)
    if wanted.title:
        query = query.where(Article.title.icontains(wanted.title, autoescape=True))
    return query


async def one(session: AsyncSession, article_id: UUID, workspaces: Workspaces, *, lock: bool = False) -> Article | None:
    query = select(Article).where(Article.id == article_id, Article.deleted_at.is_(None))
    if workspaces is not None:
        query = query.where(Article.workspace_id.in_(workspaces))
    found: Article | None = await session.scalar(query.with_for_update() if lock else query)
    return found


async def add(session: AsyncSession, values: dict[str, Any]) -> Article | None:
    """Insert an article; None when its slug is taken, also by a transaction that committed just now."""
    query = (
        insert(Article)
        .values(**values)
        .on_conflict_do_nothing(index_elements=["tenant_id", "slug"], index_where=text("deleted_at IS NULL"))
        .returning(Article)
    )
    added: Article | None = await session.scalar(query)
    return added


async def slug_taken(session: AsyncSession, article: Article, slug: str) -> bool:
    """Whether another article of the same tenant has the slug."""
    same = select(Article.id).where(
        Article.tenant_id == article.tenant_id,
        Article.slug == slug,
        Article.deleted_at.is_(None),
        Article.id != article.id,
    )
    return slug != article.slug and await session.scalar(same) is not None


async def count(session: AsyncSession, tenant_id: UUID) -> int:
    """The articles of a tenant that are not deleted."""
    query = select(func.count()).where(Article.tenant_id == tenant_id, Article.deleted_at.is_(None))
    return await session.scalar(query) or 0


async def workspace_exists(session: AsyncSession, tenant_id: UUID, workspace_id: UUID) -> bool:
    same = exists().where(_WORKSPACE.c.tenant_id == tenant_id, _WORKSPACE.c.id == workspace_id)
    return bool(await session.scalar(select(same)))


async def tenant_choices(session: AsyncSession) -> list[tuple[UUID, str]]:
    """The first 200 tenants by name, for a filter's list; none in a tenant's own transaction."""
    if scope_of(session).plane is Plane.TENANT:
        return []
    query = select(_TENANT.c.id, _TENANT.c.name).where(_TENANT.c.id != PLATFORM_TENANT)
    rows = await session.execute(query.order_by(_TENANT.c.name).limit(200))
    return [(row.id, row.name) for row in rows]


def slug_of(title: str) -> str:
    """A slug in the title's own script: lower case, words joined by hyphens."""
    return slugify(title, allow_unicode=True, max_length=MAX_SLUG - 8, word_boundary=True) or "article"
