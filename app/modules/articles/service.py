"""The rules of articles: Markdown in, safe HTML kept beside it, published when somebody says so."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from msgspec import UNSET
from slugify import slugify
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Conflict, FieldError, Invalid, NotFound
from app.core.etag import Expected, require
from app.core.events import Event, emit
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager
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
from app.modules.articles.models import Article, Status
from app.modules.articles.permissions import PUBLISH, READ, WRITE
from app.modules.articles.repository import ArticleFilter
from app.modules.articles.schemas import MAX_TITLE, ArticleCreate
from app.modules.articles.schemas import ArticleChange as ArticleChange
from app.modules.audit.service import record
from app.modules.tenants.service import require_room

TOPIC = "articles"
EXCERPT = 200
MOST_BRACKETS = 3_000  # each may begin a link, and takes the parser long to find out
HEADING_WITHIN = 2_000
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_THREAD = ThreadPoolExecutor(1, "markdown")
_CLEANER = nh3.Cleaner(
    attributes={**nh3.ALLOWED_ATTRIBUTES, "code": {"class"}}, url_schemes={"http", "https", "mailto"}
)


class ArticleService:
    """The articles that the session's transaction may see; a caller tied to a workspace finds only that one's.

    Every change is audited in its transaction.
    """

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def create(self, new: ArticleCreate) -> Article:
        """Write a draft.

        Raises:
            Invalid: naming the field. Conflict (`slug_taken`): another article of the tenant has that slug.
            QuotaExceeded: the tenant has as many articles as it may.
        """
        tenant, id_ = scope_of(self._session).tenant_id, new_id()
        await require_room(self._session, tenant, ARTICLES)
        title = one_line("title", new.title, MAX_TITLE)
        values = await _rendered(new.body) | {
            "id": id_,
            "tenant_id": tenant,
            "workspace_id": await self._workspace(tenant, new.workspace_id),
            "slug": repository.slug_of(title) if new.slug is None else _slug(new.slug),
            "title": title,
            "language": new.language,
            "status": Status.DRAFT,
        }
        article = await repository.add(self._session, values)
        if article is None and new.slug is None:
            # There is an article of this title already; the end of the id tells the two apart.
            article = await repository.add(self._session, values | {"slug": f"{values['slug']}-{id_.hex[-7:]}"})
        if article is None:
            raise _slug_taken()
        await self._trace("article.create", article, None, _audited(article))
        return article

    async def get(self, article_id: UUID) -> Article:
        """
        Raises:
            NotFound: there is none, it was deleted, or it is not the caller's.
        """
        return await self._one(article_id, READ)

    async def search(
        self, pager: Pager, wanted: ArticleFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[Article]:
        """Newest first, without bodies. A cursor is good for the same filter only."""
        _refuse_nul("title", wanted.title or "")
        _refuse_nul("language", wanted.language or "")
        own = self._actor.reach(READ)
        return await pager.page(
            self._session,
            repository.fitting(wanted, workspaces=own),
            key=Article.id,
            of=f"articles {scope_of(self._session).tenant_id} {sorted(own or ())} {wanted}",
            limit=limit,
            cursor=cursor,
        )

    async def update(self, article_id: UUID, change: ArticleChange, *, expected: Expected = None) -> Article:
        """Change what `change` names; nothing new makes no new version.

        Raises:
            NotFound, Stale, Invalid; Conflict (`slug_taken`).
        """
        values: dict[str, Any] = {} if change.body is UNSET else await _rendered(change.body)
        if change.title is not UNSET:
            values["title"] = one_line("title", change.title, MAX_TITLE)
        if change.slug is not UNSET:
            values["slug"] = _slug(change.slug)
        if change.language is not UNSET:
            values["language"] = change.language
        article = await self._one(article_id, WRITE, lock=True, expected=expected)
        if await repository.slug_taken(self._session, article, values.get("slug", article.slug)):
            raise _slug_taken()
        return await self._change("article.update", article, values)

    async def submit(self, article_id: UUID, *, expected: Expected = None) -> Article:
        """Hand a draft in for review. Submitting what waits already changes nothing.

        Raises:
            NotFound, Stale; Conflict (`already_published`): there is nothing to review.
        """
        article = await self._one(article_id, WRITE, lock=True, expected=expected)
        if article.status == Status.PUBLISHED:
            raise Conflict("Readers see this article already", code="already_published")
        return await self._change("article.submit", article, {"status": Status.REVIEW})

    async def withdraw(self, article_id: UUID, *, expected: Expected = None) -> Article:
        """Take a draft back from review. One that does not wait stays as it is."""
        article = await self._one(article_id, WRITE, lock=True, expected=expected)
        if article.status != Status.REVIEW:
            return article
        return await self._change("article.withdraw", article, {"status": Status.DRAFT})

    async def publish(self, article_id: UUID, *, expected: Expected = None) -> Article:
        """Show it to readers. Publishing what is published changes nothing."""
        article = await self._one(article_id, PUBLISH, lock=True, expected=expected)
        if article.status == Status.PUBLISHED:
            return article
        values = {"status": Status.PUBLISHED, "published_at": datetime.now(UTC)}
        return await self._change("article.publish", article, values)

    async def unpublish(self, article_id: UUID, *, expected: Expected = None) -> Article:
        """Make it a draft again. Unpublishing a draft changes nothing."""
        article = await self._one(article_id, PUBLISH, lock=True, expected=expected)
        if article.status != Status.PUBLISHED:
            return article
        return await self._change("article.unpublish", article, {"status": Status.DRAFT, "published_at": None})

    async def delete(self, article_id: UUID, *, expected: Expected = None) -> None:
        """Take it out of every list and free its slug. The row stays, for whoever follows its trace."""
        article = await self._one(article_id, WRITE, lock=True, expected=expected)
        await self._change("article.delete", article, {"deleted_at": datetime.now(UTC)})

    async def set_summary(self, article_id: UUID, text: str, keywords: list[str], provider: str) -> Article:
        """Keep what the AI wrote about it, in place of what stood there."""
        article = await self._one(article_id, WRITE, lock=True)
        values = {"summary": text, "summary_keywords": keywords, "summary_provider": provider}
        return await self._change("article.summarize", article, values | {"summary_at": datetime.now(UTC)})

    async def _one(
        self, article_id: UUID, right: Permission, *, lock: bool = False, expected: Expected = None
    ) -> Article:
        article = await repository.one(self._session, article_id, self._actor.reach(right), lock=lock)
        if article is None:
            raise NotFound("There is no article with this id")
        require(article.version, expected, "article")
        return article

    async def _change(self, action: str, article: Article, values: dict[str, Any]) -> Article:
        if all(getattr(article, name) == value for name, value in values.items()):
            return article
        before = _audited(article)
        for name, value in values.items():
            setattr(article, name, value)
        await self._session.flush()
        await self._session.refresh(article, ["updated_at"])
        await self._trace(action, article, before, _audited(article))
        return article

    async def _trace(self, action: str, article: Article, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        resource = ("article", article.id, article.title)
        await record(self._session, self._actor, action, resource=resource, before=before, after=after)
        signal(self._session, TOPIC, article.id, article.tenant_id)
        await emit(self._session, _FACTS[action](article.id))

    async def _workspace(self, tenant: UUID, asked: UUID | None) -> UUID | None:
        own = self._actor.workspace_id
        if asked is None or asked == own:
            return own
        if own is not None or not await repository.workspace_exists(self._session, tenant, asked):
            raise Invalid.field("workspaceId", "there is no workspace with this id")
        return asked


def heading(markdown: str) -> str | None:
    """The text of the first heading near the beginning, which serves as a file's title; None when there is none."""
    tokens = _MARKDOWN.parse(markdown[:HEADING_WITHIN])
    texts = (_plain(tokens[i + 1]) for i, token in enumerate(tokens) if token.type == "heading_open")
    return next(filter(None, texts), None)


def render(markdown: str) -> tuple[str, str]:
    """HTML in which nothing can run, and the first paragraph as plain text of at most 200 characters.

    It takes about 4 ms for 1,000 characters.
    """
    tokens = _MARKDOWN.parse(markdown)
    for token in tokens:
        if style := token.attrs.pop("style", None):
            # Our policy forbids inline styles; a cell has an attribute for this.
            token.attrs["align"] = str(style).removeprefix("text-align:")
    paragraphs = (_plain(tokens[i + 1]) for i, token in enumerate(tokens) if token.type == "paragraph_open")
    text = next(filter(None, paragraphs), "")
    excerpt = text if len(text) <= EXCERPT else text[: EXCERPT - 1].rsplit(" ", 1)[0] + "…"
    return _CLEANER.clean(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})), excerpt


def _plain(inline: Token) -> str:
    parts = (child.content if child.content else " " for child in inline.children or () if child.type in _TEXTUAL)
    return " ".join("".join(parts).split())


_FACTS: dict[str, type[Event]] = {
    "article.create": ArticleCreated,
    "article.update": ArticleUpdated,
    "article.summarize": ArticleUpdated,
    "article.submit": ArticleSubmitted,
    "article.withdraw": ArticleUpdated,
    "article.publish": ArticlePublished,
    "article.unpublish": ArticleUnpublished,
    "article.delete": ArticleDeleted,
}
_TEXTUAL = ("text", "code_inline", "softbreak", "hardbreak")


async def _rendered(markdown: str) -> dict[str, Any]:
    _refuse_nul("body", markdown)
    if markdown.count("[") > MOST_BRACKETS:
        raise Invalid.field("body", f"must not have more than {MOST_BRACKETS} opening brackets")
    # Apart from the loop, because a long body takes seconds; and one at a time, so that many take no more of a core.
    html, excerpt = await asyncio.get_running_loop().run_in_executor(_THREAD, render, markdown)
    return {"body_markdown": markdown, "body_html": html, "excerpt": excerpt}


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
        "body": {"characters": len(body), "sha256": sha256(body.encode()).hexdigest()},
        "summary": article.summary,
        "deleted": article.deleted_at is not None,
    }
