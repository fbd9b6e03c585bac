"""Queries on articles, their versions and what readers see. Deleted articles are never found."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from slugify import slugify
from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    column,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import TSQUERY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.ids import PLATFORM_TENANT, new_id
from app.core.signs import Sign, Weight, counted
from app.modules.articles.models import Article, ArticleVersion, Publication, Status
from app.modules.articles.schemas import MAX_SLUG, ArticleFilter
from app.modules.taxonomy.service import under

SEARCHED = ("title", "excerpt", "language", "body_markdown")
_EMPTY = re.compile(r'"\W*("|$)')
_STRAY = re.compile(r'-+(?![\w"])|-+(?=-)')
Searched = type[Article] | type[Publication]
# PostgreSQL keeps at most a megabyte of words of a text, and refuses it otherwise.
SEARCHED_CHARACTERS = 100_000
Workspaces = frozenset[UUID] | None
"""Those whose articles the caller may treat; None for all."""
_BODIES = {"body_markdown", "body_html", "search"}


def _columns(kind: Searched) -> list[ColumnElement[Any]]:
    return [column for column in kind.__table__.c if column.key not in _BODIES]


_LISTED = select(*_columns(Article)).where(Article.deleted_at.is_(None))
_SEEN = select(*_columns(Publication))
_WORKSPACE = table("workspace", column("id"), column("tenant_id"))
_TENANT = table("tenant", column("id"), column("name"))
_ASKED = """
    SELECT string_agg(DISTINCT '(' || q::text || ')', ' | ')::tsquery
    FROM pg_ts_config c, websearch_to_tsquery(c.oid::regconfig, :words) AS q WHERE numnode(q) > 0
"""
_LANGUAGES = """
    WITH RECURSIVE l AS (
        (SELECT language FROM article WHERE deleted_at IS NULL ORDER BY language LIMIT 1)
        UNION ALL
        SELECT (SELECT a.language FROM article a WHERE a.deleted_at IS NULL AND a.language > l.language
                ORDER BY a.language LIMIT 1)
        FROM l WHERE l.language IS NOT NULL
    ) SELECT language FROM l WHERE language IS NOT NULL LIMIT 50
"""


def fitting(wanted: ArticleFilter, *, workspaces: Workspaces = None) -> Select[Any]:
    """The articles that fit, in no order: the columns that lists show."""
    query = _LISTED
    if workspaces is not None:
        query = query.where(Article.workspace_id.in_(workspaces))
    if wanted.tenant_id is not None:
        query = query.where(Article.tenant_id == wanted.tenant_id)
    if wanted.status is not None:
        query = query.where(Article.status == wanted.status)
    if wanted.language is not None:
        query = query.where(Article.language == wanted.language)
    if wanted.since is not None:
        query = query.where(Article.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Article.created_at < wanted.until)
    query = query.where(*under(Article.id, wanted.tag, wanted.category))
    return query if wanted.text is None else query.where(saying(Article, wanted.text))


def saying(kind: Searched, words: str) -> ColumnElement[bool]:
    """Whether the words are in a text, in the forms of its language, or nearly in its title."""
    exactly = func.websearch_to_tsquery(func.teknav_rules(kind.language), _meant(words))
    in_text = and_(kind.search.op("@@")(_asked(_meant(words))), kind.search.op("@@")(exactly))
    part = "%" + words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    return or_(in_text, kind.title.ilike(part), kind.title.op("%>")(words))


def relevance(kind: Searched, words: str) -> ColumnElement[float]:
    """The larger, the better a text answers the words."""
    query = func.websearch_to_tsquery(func.teknav_rules(kind.language), _meant(words))
    rank = func.ts_rank_cd(kind.search, query)
    found: ColumnElement[float] = rank + func.word_similarity(words, kind.title)
    return found


def _meant(words: str) -> str:
    """Without the quotes around nothing and the minuses before nothing: PostgreSQL gives up on a row of them."""
    return _STRAY.sub(" ", _EMPTY.sub(" ", words))


def _asked(words: str) -> ColumnElement[Any]:
    """What any language's rules make of the words: an index finds these, whatever language each text is in."""
    return text(_ASKED).bindparams(words=words).columns(column("q", TSQUERY)).scalar_subquery()


async def one(session: AsyncSession, article_id: UUID, workspaces: Workspaces, *, lock: bool = False) -> Article | None:
    query = select(Article).where(Article.id == article_id, Article.deleted_at.is_(None))
    if workspaces is not None:
        query = query.where(Article.workspace_id.in_(workspaces))
    found: Article | None = await session.scalar(query.with_for_update() if lock else query)
    return found


def within(workspaces: Collection[UUID]) -> Select[tuple[UUID]]:
    """The ids of the articles of these workspaces."""
    return select(Article.id).where(Article.workspace_id.in_(workspaces))


async def titles(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, str]:
    """Of articles, also of deleted ones."""
    rows = await session.execute(select(Article.id, Article.title).where(Article.id.in_(ids)))
    return {row.id: row.title for row in rows}


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


async def version(session: AsyncSession, article_id: UUID, number: int) -> ArticleVersion | None:
    same = select(ArticleVersion).where(ArticleVersion.article_id == article_id, ArticleVersion.number == number)
    found: ArticleVersion | None = await session.scalar(same)
    return found


async def publication(session: AsyncSession, article_id: UUID) -> Publication | None:
    found: Publication | None = await session.scalar(select(Publication).where(Publication.article_id == article_id))
    return found


async def public_slug_taken(session: AsyncSession, article: Article, slug: str) -> bool:
    """Whether readers find another article of the same tenant under the slug."""
    same = select(Publication.id).where(
        Publication.tenant_id == article.tenant_id, Publication.slug == slug, Publication.article_id != article.id
    )
    return await session.scalar(same) is not None


async def show(
    session: AsyncSession, article: Article, version: ArticleVersion, html: str, excerpt: str, since: datetime
) -> None:
    """Let readers see this version; its place among the published ones stays, if it had one."""
    content = version.snapshot
    seen: dict[str, Any] = {
        "number": version.number,
        "slug": content["slug"],
        "title": content["title"],
        "language": content["language"],
        "body_html": html,
        "excerpt": excerpt,
        "published_at": since,
        "search": words(content | {"excerpt": excerpt, "body_markdown": content["body"]}),
    }
    place = {"id": new_id(), "tenant_id": article.tenant_id, "article_id": article.id}
    query = insert(Publication).values(**place, workspace_id=article.workspace_id, **seen)
    changed = seen | {"updated_at": func.now()}
    await session.execute(query.on_conflict_do_update(constraint="uq_publication_article", set_=changed))


async def hide(session: AsyncSession, article_id: UUID) -> None:
    """Readers see the article no more."""
    await session.execute(delete(Publication).where(Publication.article_id == article_id))


def public(
    language: str | None,
    words: str | None,
    tag: str | None = None,
    category: str | None = None,
    *,
    workspaces: Workspaces = None,
) -> Select[Any]:
    """What readers see, in no order: the columns that lists show."""
    query = _SEEN
    if workspaces is not None:
        query = query.where(Publication.workspace_id.in_(workspaces))
    if language is not None:
        query = query.where(Publication.language == language)
    query = query.where(*under(Publication.article_id, tag, category))
    return query if words is None else query.where(saying(Publication, words))


def words(content: Mapping[str, Any]) -> ColumnElement[str]:
    """What search finds an article by: title before excerpt before body, by the rules of its language."""
    rules = func.teknav_rules(content["language"])
    title = func.setweight(func.to_tsvector(rules, content["title"]), literal_column("'A'"))
    excerpt = func.setweight(func.to_tsvector(rules, content["excerpt"]), literal_column("'B'"))
    body = func.setweight(
        func.to_tsvector(rules, content["body_markdown"][:SEARCHED_CHARACTERS]), literal_column("'D'")
    )
    found: ColumnElement[str] = title.concat(excerpt).concat(body)
    return found


async def count(session: AsyncSession, tenant_id: UUID) -> int:
    """The articles of a tenant that are not deleted."""
    query = select(func.count()).where(Article.tenant_id == tenant_id, Article.deleted_at.is_(None))
    return await session.scalar(query) or 0


async def count_of(session: AsyncSession, ids: Collection[UUID], workspaces: Workspaces) -> int:
    """How many of these the caller may treat."""
    query = select(func.count()).where(Article.id.in_(ids), Article.deleted_at.is_(None))
    if workspaces is not None:
        query = query.where(Article.workspace_id.in_(workspaces))
    return await session.scalar(query) or 0


async def workspace_exists(session: AsyncSession, tenant_id: UUID, workspace_id: UUID) -> bool:
    same = exists().where(_WORKSPACE.c.tenant_id == tenant_id, _WORKSPACE.c.id == workspace_id)
    return bool(await session.scalar(select(same)))


async def languages(session: AsyncSession) -> list[str]:
    """Those that articles are written in, for a filter's list."""
    # Each by one look into the index of languages: DISTINCT would read every article.
    return list((await session.scalars(text(_LANGUAGES))).all())


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


async def signs(session: AsyncSession) -> list[Sign]:
    """What readers got to see within a day, and what waits until somebody lets it through."""
    since = datetime.now(UTC) - timedelta(days=1)
    query = select(func.count()).select_from(Publication).where(Publication.published_at >= since)
    new = await session.scalar(query) or 0
    text, here = f"{counted(new, 'article')} published in 24 hours", "/articles?status=published"
    found = [Sign("Published", f"{new:,}", text, Weight.OK, here)]
    query = select(func.count()).select_from(Article).where(Article.status == Status.REVIEW)
    if waiting := await session.scalar(query) or 0:
        text, here = (
            f"{counted(waiting, 'article waits', 'articles wait')} for review",
            f"/articles?status={Status.REVIEW}",
        )
        found.insert(0, Sign("Review", f"{waiting:,}", text, Weight.OK, here))
    return found
