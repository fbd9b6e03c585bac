"""The rules of articles: every change of content is a version, and readers see the one that was published."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from msgspec import UNSET, UnsetType
from slugify import slugify
from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, Stale
from app.core.etag import Expected, require
from app.core.events import Event, emit
from app.core.ids import new_id
from app.core.live import signal
from app.core.markdown import rendered
from app.core.paging import MAX_LIMIT, RELEVANCE, Page, Pager, Sorts
from app.core.policy import Actor, Permission
from app.core.quota import ARTICLES
from app.core.wire import one_line
from app.modules.articles import repository
from app.modules.articles.events import (
    ArticleCreated,
    ArticleDeleted,
    ArticlePublished,
    ArticleSubmitted,
    ArticleUnpublished,
    ArticleUpdated,
)
from app.modules.articles.jobs import TreatArticles
from app.modules.articles.models import Article as Article
from app.modules.articles.models import ArticleVersion as ArticleVersion
from app.modules.articles.models import Publication, Treatment
from app.modules.articles.models import Status as Status
from app.modules.articles.permissions import PUBLISH as PUBLISH
from app.modules.articles.permissions import READ as READ
from app.modules.articles.permissions import WRITE as WRITE
from app.modules.articles.repository import Searched
from app.modules.articles.repository import titles as titles
from app.modules.articles.repository import within as within
from app.modules.articles.schemas import ARTICLE_ANSWERS, MAX_REASON, MOST_AT_ONCE, ArticleFilter, Listed
from app.modules.articles.schemas import MAX_SLUG as MAX_SLUG
from app.modules.articles.schemas import MAX_TITLE as MAX_TITLE
from app.modules.articles.schemas import ArticleChange as ArticleChange
from app.modules.articles.schemas import ArticleCreate as ArticleCreate
from app.modules.articles.schemas import Body as Body
from app.modules.articles.schemas import Language as Language
from app.modules.articles.schemas import Slug as Slug
from app.modules.articles.schemas import Title as Title
from app.modules.audit.service import record
from app.modules.taxonomy.events import TermsChanged
from app.modules.taxonomy.service import TaxonomyService, Terms, terms_of
from app.modules.tenants.service import require_room
from app.queues.enqueue import enqueue
from app.redis.cache import drop
from app.redis.cached import of_tenant

TOPIC = "articles"
SORTS = Sorts(
    "-createdAt", {"createdAt": Article.id, "updatedAt": Article.updated_at, "title": Article.title}, ranked=True
)
MOST_BRACKETS = 3_000  # each may begin a link, and takes the parser long to find out


class ArticleService:
    """The articles that the session's transaction may see; a caller tied to a workspace finds only that one's.

    Every change is audited in its transaction.
    """

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def create(self, new: ArticleCreate, *, reason: str | None = None, ai_run_id: UUID | None = None) -> Article:
        """Write a draft, its first version.

        Args:
            ai_run_id: the run of AI that wrote it, where one did.

        Raises:
            Invalid: naming the field. Conflict (`slug_taken`): another article of the tenant has that slug.
            QuotaExceeded: the tenant has as many articles as it may.
        """
        tenant, id_ = scope_of(self._session).tenant_id, new_id()
        title = one_line("title", new.title, MAX_TITLE)
        # Before the first statement: whoever waits for the thread that renders keeps no connection and no lock.
        written = await _written(new.body, tenant)
        await require_room(self._session, tenant, ARTICLES)
        values = written | {
            "id": id_,
            "tenant_id": tenant,
            "workspace_id": await self._workspace(tenant, new.workspace_id),
            "slug": repository.slug_of(title) if new.slug is None else _slug(new.slug),
            "title": title,
            "language": new.language,
            "status": Status.DRAFT,
        }
        values["search"] = repository.words(values)
        article = await repository.add(self._session, values)
        if article is None and new.slug is None:
            # There is an article of this title already; the end of the id tells the two apart.
            article = await repository.add(self._session, values | {"slug": f"{values['slug']}-{id_.hex[-7:]}"})
        if article is None:
            raise _slug_taken()
        await self._keep(article, reason, ai_run_id)
        _, terms = await self._label(article, new.tags, new.categories) or ({}, {})
        await self._trace("article.create", article, None, _audited(article) | terms, reason)
        return article

    async def get(self, article_id: UUID, right: Permission = READ) -> Article:
        """An article that the caller may read, or treat as `right` says.

        Raises:
            NotFound: there is none, it was deleted, or it is not the caller's.
        """
        return await self._one(article_id, right)

    async def search(
        self,
        pager: Pager,
        wanted: ArticleFilter,
        *,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[Row[Any]]:
        """Rows without bodies; by relevance there is one page."""
        own = self._actor.reach(READ)
        query = repository.fitting(wanted, workspaces=own)
        if wanted.text and pager.chosen(SORTS, wanted.text) == RELEVANCE:
            return await self._best(query, Article, wanted.text, limit)
        return await pager.page(
            self._session,
            query,
            key=Article.id,
            of=f"articles {scope_of(self._session).tenant_id} {sorted(own or ())} {wanted}",
            limit=limit,
            cursor=cursor,
            as_rows=True,
            sorts=SORTS,
        )

    async def update(
        self, article_id: UUID, change: ArticleChange, *, reason: str | None = None, expected: Expected = None
    ) -> Article:
        """Change what `change` names: a new version, unless nothing is new. Readers go on seeing what they see,
        under the tags and categories that it stands under now: those are no part of a version.

        Raises:
            NotFound, Stale, Invalid; Conflict (`slug_taken`).
        """
        return await self._revise(article_id, change, reason, expected=expected)

    async def revise(
        self,
        article_id: UUID,
        change: ArticleChange,
        *,
        reason: str,
        ai_run_id: UUID | None = None,
        base_version: int | None = None,
    ) -> Article:
        """`update`, where the change was made of an earlier version, perhaps by AI.

        Args:
            base_version: the `draft_version` that it was made of; None for any.

        Raises:
            NotFound, Invalid; Stale: there is a newer version; Conflict (`slug_taken`).
        """
        return await self._revise(article_id, change, reason, ai_run_id=ai_run_id, base=base_version)

    async def restore(self, article_id: UUID, number: int, *, expected: Expected = None) -> Article:
        """Write the content of an earlier version again, as the newest.

        Raises:
            NotFound: there is no such article or version. Stale; Conflict (`slug_taken`).
        """
        article = await self._one(article_id, WRITE)
        old = (await self._version(article, number)).snapshot
        reason = f"Version {number} again"
        return await self._revise(article_id, ArticleChange(**old), reason, action="article.restore", expected=expected)

    async def submit(self, article_id: UUID, *, expected: Expected = None) -> Article:
        """Hand the newest version in for review. Submitting what waits already changes nothing.

        Raises:
            NotFound, Stale; Conflict (`already_published`): there is nothing to review.
        """
        article = await self._one(article_id, WRITE, lock=True, expected=expected)
        if article.status == Status.PUBLISHED:
            raise Conflict("Readers see this version already", code="already_published")
        return await self._change("article.submit", article, {"status": Status.REVIEW})

    async def withdraw(self, article_id: UUID, *, expected: Expected = None) -> Article:
        """Take an article back from review. One that does not wait stays as it is."""
        article = await self._one(article_id, WRITE, lock=True, expected=expected)
        if article.status != Status.REVIEW:
            return article
        return await self._change("article.withdraw", article, {"status": Status.DRAFT})

    async def publish(
        self,
        article_id: UUID,
        *,
        number: int | None = None,
        reason: str | None = None,
        expected: Expected = None,
    ) -> Article:
        """Show a version to readers, the newest where none is named. What they see already changes nothing.

        Args:
            number: of the version; the draft goes on as it is, where it is newer.

        Raises:
            NotFound: there is no such article or version. Stale. Conflict (`slug_taken`): readers find another
            article under this version's slug.
        """
        article = await self._one(article_id, PUBLISH, lock=True, expected=expected)
        number = number or article.draft_version
        if article.published_version == number:
            return article
        version = await self._version(article, number)
        newest = number == article.draft_version
        if await repository.public_slug_taken(self._session, article, version.snapshot["slug"]):
            raise _slug_taken()
        html, excerpt = article.body_html, article.excerpt
        if not newest:
            html, excerpt = await rendered(str(version.snapshot["body"]), article.tenant_id)
        published_at = article.published_at or datetime.now(UTC)
        await repository.show(self._session, article, version, html, excerpt, published_at)
        values: dict[str, Any] = {"published_version": number, "published_at": published_at}
        values |= {"status": Status.PUBLISHED} if newest else _reopened(article)
        return await self._change("article.publish", article, values, reason)

    async def unpublish(self, article_id: UUID, *, reason: str | None = None, expected: Expected = None) -> Article:
        """Take it from readers. One that they do not see stays as it is."""
        article = await self._one(article_id, PUBLISH, lock=True, expected=expected)
        if article.published_version is None:
            return article
        await repository.hide(self._session, article.id)
        values = {"published_version": None, "published_at": None}
        return await self._change("article.unpublish", article, values | _reopened(article), reason)

    async def delete(self, article_id: UUID, *, reason: str | None = None, expected: Expected = None) -> None:
        """Take it out of every list, tag and category, and free its slug.

        The row and its versions stay, for whoever follows its trace.

        Raises:
            NotFound, Stale. Forbidden (`permission_missing`): readers see it, and the caller may not unpublish it.
        """
        article = await self._one(article_id, WRITE, lock=True, expected=expected)
        if not may_delete(self._actor, article):
            raise Forbidden(
                f"Readers see this article: to delete it needs the permission {PUBLISH.name}", code="permission_missing"
            )
        await repository.hide(self._session, article.id)
        await self._label(article, [], [])
        values = {"deleted_at": datetime.now(UTC), "published_version": None, "published_at": None}
        await self._change("article.delete", article, values | _reopened(article), reason)

    async def treat(self, treatment: Treatment, ids: Sequence[UUID]) -> UUID:
        """Have one thing done with many articles, by a job.

        Returns:
            the job's id.

        Raises:
            Forbidden (`permission_missing`). Invalid (`ids`): none, too many, or one that is not there.
        """
        wanted = list(dict.fromkeys(ids))
        if not 1 <= len(wanted) <= MOST_AT_ONCE:
            raise Invalid.field("ids", f"must be 1 to {MOST_AT_ONCE} articles")
        # Any of them may be shown to readers by the time the job comes to it.
        for right in (PUBLISH, WRITE) if treatment == Treatment.DELETE else (PUBLISH,):
            if not self._actor.may(right):
                raise Forbidden(f"This needs the permission {right.name}", code="permission_missing")
            if len(wanted) != await repository.count_of(self._session, wanted, self._actor.reach(right)):
                raise Invalid.field("ids", "one of these articles is not there")
        job = TreatArticles(treatment=treatment, ids=wanted, asked_by=self._actor.label)
        job_id = await enqueue(self._session, job)
        after = {"treatment": treatment, "articles": [str(id_) for id_ in wanted]}
        await record(self._session, self._actor, "article.treat", resource=("job", job_id, None), after=after)
        return job_id

    async def set_summary(self, article_id: UUID, text: str, keywords: list[str], provider: str) -> Article:
        """Keep what the AI wrote about it, in place of what stood there."""
        article = await self._one(article_id, WRITE, lock=True)
        values = {"summary": text, "summary_keywords": keywords, "summary_provider": provider}
        return await self._change("article.summarize", article, values | {"summary_at": datetime.now(UTC)})

    async def versions(
        self, pager: Pager, article_id: UUID, *, limit: int = 25, cursor: str | None = None
    ) -> Page[ArticleVersion]:
        """The versions of an article, newest first.

        Raises:
            NotFound: there is no such article.
        """
        article = await self._one(article_id, READ)
        query = select(ArticleVersion).where(ArticleVersion.article_id == article.id)
        of = f"versions {article.id}"
        return await pager.page(self._session, query, key=ArticleVersion.id, of=of, limit=limit, cursor=cursor)

    async def version(self, article_id: UUID, number: int) -> ArticleVersion:
        """
        Raises:
            NotFound: there is no such article or version.
        """
        return await self._version(await self._one(article_id, READ), number)

    async def publication(self, article_id: UUID) -> Publication:
        """What readers see of an article.

        Raises:
            NotFound: there is no such article, or readers see nothing of it.
        """
        await self._one(article_id, READ)
        found = await repository.publication(self._session, article_id)
        if found is None:
            raise NotFound("This article is not published")
        return found

    async def publications(
        self,
        pager: Pager,
        language: str | None = None,
        words: str | None = None,
        tag: str | None = None,
        category: str | None = None,
        *,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[Row[Any]]:
        """Rows of what readers see, without bodies: the newest first, or one page of what fits the words best.

        Args:
            tag, category: slugs.
        """
        own = self._actor.reach(READ)
        query = repository.public(language, words, tag, category, workspaces=own)
        if words is not None:
            return await self._best(query, Publication, words, limit)
        return await pager.page(
            self._session,
            query,
            key=Publication.id,
            of=f"publications {scope_of(self._session).tenant_id} {sorted(own or ())} {language} {tag} {category}",
            limit=limit,
            cursor=cursor,
            as_rows=True,
        )

    async def filed(self, articles: Sequence[Listed]) -> dict[UUID, Terms]:
        """Under what these articles stand, by their ids; those that stand under nothing are left out."""
        if not articles:
            return {}
        key = "article_id" if hasattr(articles[0], "article_id") else "id"
        return await terms_of(self._session, [(row.tenant_id, getattr(row, key)) for row in articles])

    async def _best(self, query: Select[Any], table: Searched, words: str, limit: int) -> Page[Row[Any]]:
        if not 1 <= limit <= MAX_LIMIT:
            raise Invalid.field("limit", f"must be from 1 to {MAX_LIMIT}")
        query = query.order_by(repository.relevance(table, words).desc(), table.id.desc()).limit(limit)
        return Page((await self._session.execute(query)).all(), None, None)

    async def _revise(
        self,
        article_id: UUID,
        change: ArticleChange,
        reason: str | None,
        *,
        action: str = "article.update",
        ai_run_id: UUID | None = None,
        base: int | None = None,
        expected: Expected = None,
    ) -> Article:
        reason = one_line("reason", reason, MAX_REASON) if reason else None
        of = scope_of(self._session).tenant_id
        values: dict[str, Any] = {} if change.body is UNSET else await _written(change.body, of)
        if change.title is not UNSET:
            values["title"] = one_line("title", change.title, MAX_TITLE)
        if change.slug is not UNSET:
            values["slug"] = _slug(change.slug)
        if change.language is not UNSET:
            values["language"] = change.language
        article = await self._one(article_id, WRITE, lock=True, expected=expected)
        if base is not None and article.draft_version != base:
            raise Stale(f"Version {base} is not the newest of this article any more: {article.draft_version} is")
        if await repository.slug_taken(self._session, article, values.get("slug", article.slug)):
            raise _slug_taken()
        labels = await self._label(article, change.tags, change.categories)
        before, after = labels or ({}, {})
        before |= _audited(article)
        if not _same(article, values):
            await self._rewrite(article, values, reason, ai_run_id)
        elif labels is None:
            return article
        else:
            article.updated_at = datetime.now(UTC)
        await self._changed(action, article, before, reason, after)
        return article

    async def _rewrite(
        self, article: Article, values: dict[str, Any], reason: str | None, ai_run_id: UUID | None
    ) -> None:
        for name, value in values.items():
            setattr(article, name, value)
        article.search = repository.words({name: getattr(article, name) for name in repository.SEARCHED})
        article.draft_version += 1
        if article.status == Status.PUBLISHED:
            article.status = Status.DRAFT
        await self._keep(article, reason, ai_run_id)

    async def _label(
        self, article: Article, tags: list[str] | UnsetType, categories: list[str] | UnsetType
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Under what it stood and stands, for the log; None where that is the same."""
        if tags is UNSET and categories is UNSET:
            return None
        taxonomy = TaxonomyService(self._session, self._actor)
        return await taxonomy.label(article.tenant_id, article.id, tags, categories)

    async def _keep(self, article: Article, reason: str | None, ai_run_id: UUID | None) -> None:
        """Write the article's content down as a version."""
        content = {"title": article.title, "slug": article.slug, "language": article.language}
        content["body"] = article.body_markdown
        kept = ArticleVersion(
            tenant_id=article.tenant_id,
            article_id=article.id,
            number=article.draft_version,
            snapshot=content,
            sha256=sha256("\n".join(content.values()).encode()).hexdigest(),
            author=self._actor.label,
            reason=reason,
            ai_run_id=ai_run_id,
        )
        self._session.add(kept)

    async def _version(self, article: Article, number: int) -> ArticleVersion:
        found = await repository.version(self._session, article.id, number)
        if found is None:
            raise NotFound("This article has no such version")
        return found

    async def _one(
        self, article_id: UUID, right: Permission, *, lock: bool = False, expected: Expected = None
    ) -> Article:
        article = await repository.one(self._session, article_id, self._actor.reach(right), lock=lock)
        if article is None:
            raise NotFound("There is no article with this id")
        require(article.version, expected, "article")
        return article

    async def _change(
        self, action: str, article: Article, values: dict[str, Any], reason: str | None = None
    ) -> Article:
        if _same(article, values):
            return article
        before = _audited(article)
        for name, value in values.items():
            setattr(article, name, value)
        await self._changed(action, article, before, reason)
        return article

    async def _changed(
        self,
        action: str,
        article: Article,
        before: dict[str, Any],
        reason: str | None = None,
        terms: dict[str, Any] | None = None,
    ) -> None:
        await self._session.flush()
        await self._session.refresh(article, ["updated_at"])
        await self._trace(action, article, before, _audited(article) | (terms or {}), reason)

    async def _trace(
        self,
        action: str,
        article: Article,
        before: dict[str, Any] | None,
        after: dict[str, Any],
        reason: str | None = None,
    ) -> None:
        # Named, as the platform changes tenants' articles too: when the owner accepts what AI proposes.
        tenant, resource = article.tenant_id, ("article", article.id, article.title)
        changes: dict[str, Any] = {"before": before, "after": after, "reason": reason}
        await record(self._session, self._actor, action, resource=resource, tenant_id=tenant, **changes)
        signal(self._session, TOPIC, article.id, tenant)
        drop(self._session, of_tenant(ARTICLE_ANSWERS.tags[0], tenant))
        await emit(self._session, _FACTS[action](article.id), tenant_id=tenant, actor=self._actor)

    async def _workspace(self, tenant: UUID, asked: UUID | None) -> UUID | None:
        own = self._actor.workspace_id
        if asked is None or asked == own:
            return own
        if own is not None or not await repository.workspace_exists(self._session, tenant, asked):
            raise Invalid.field("workspaceId", "there is no workspace with this id")
        return asked


def may(actor: Actor, right: Permission, article: Article) -> bool:
    """Whether the actor has the right where the article stands: it may be given for single workspaces."""
    reach = actor.reach(right)
    return actor.kind == "system" or (actor.may(right) and (reach is None or article.workspace_id in reach))


def may_delete(actor: Actor, article: Article) -> bool:
    """To delete what readers see takes it from them."""
    return may(actor, WRITE, article) and (article.published_version is None or may(actor, PUBLISH, article))


async def show_terms(session: AsyncSession, event: TermsChanged) -> None:
    """Whoever looks at articles sees what their tags and categories are called now."""
    scope = scope_of(session)
    signal(session, TOPIC, scope.tenant_id, scope.tenant_id)
    drop(session, of_tenant(ARTICLE_ANSWERS.tags[0], scope.tenant_id))


_FACTS: dict[str, type[Event]] = {
    "article.create": ArticleCreated,
    "article.update": ArticleUpdated,
    "article.restore": ArticleUpdated,
    "article.summarize": ArticleUpdated,
    "article.submit": ArticleSubmitted,
    "article.withdraw": ArticleUpdated,
    "article.publish": ArticlePublished,
    "article.unpublish": ArticleUnpublished,
    "article.delete": ArticleDeleted,
}


async def _written(markdown: str, of: UUID) -> dict[str, Any]:
    _refuse_nul("body", markdown)
    if markdown.count("[") > MOST_BRACKETS:
        raise Invalid.field("body", f"must not have more than {MOST_BRACKETS} opening brackets")
    html, excerpt = await rendered(markdown, of)
    return {"body_markdown": markdown, "body_html": html, "excerpt": excerpt}


def _same(article: Article, values: dict[str, Any]) -> bool:
    return all(getattr(article, name) == value for name, value in values.items())


def _reopened(article: Article) -> dict[str, Any]:
    """What readers see is not the newest version: that is a draft again, unless it waits for review."""
    return {"status": Status.DRAFT} if article.status == Status.PUBLISHED else {}


def _slug(text: str) -> str:
    if slugify(text, allow_unicode=True) != text:
        raise Invalid.field("slug", "use lower-case letters and digits, with single hyphens between them")
    return text


def _slug_taken() -> Conflict:
    text = "another article has it"
    return Conflict(f"slug: {text}", code="slug_taken", errors=[FieldError("slug", text)])


def _refuse_nul(field: str, text: str) -> None:
    if "\0" in text:
        raise Invalid.field(field, "must not contain the character U+0000")


def _audited(article: Article) -> dict[str, Any]:
    """What the audit log keeps of an article: of its body only what tells whether it changed."""
    body = article.body_markdown
    return {
        "title": article.title,
        "slug": article.slug,
        "language": article.language,
        "status": str(article.status),
        "publishedVersion": article.published_version,
        "body": {"characters": len(body), "sha256": sha256(body.encode()).hexdigest()},
        "summary": article.summary,
        "deleted": article.deleted_at is not None,
    }
