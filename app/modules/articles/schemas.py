"""Articles on the wire. The body is Markdown; `html` is what the server made of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, convert, field

from app.core.wire import Incoming, Outgoing
from app.modules.articles.models import Article, Status

MAX_TITLE = 300
MAX_BODY = 300_000
Title = Annotated[str, Meta(min_length=1, max_length=MAX_TITLE, examples=["How we print maps"])]
Body = Annotated[str, Meta(max_length=MAX_BODY, description="Markdown", examples=["# How we print maps\n\nOn paper."])]
Slug = Annotated[str, Meta(min_length=1, max_length=200, examples=["how-we-print-maps"])]
# `$` alone would let a line break through at the end.
Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}$(?!\n)", examples=["en", "pt-BR"])]


class ArticleCreate(Incoming):
    """A new draft. Without a slug it gets one made of the title."""

    title: Title
    body: Body
    slug: Slug | None = None
    language: Language = "en"
    workspace_id: UUID | None = None


class ArticleChange(Incoming):
    """What to change; fields that are left out stay as they are."""

    title: Title | UnsetType = UNSET
    body: Body | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    language: Language | UnsetType = UNSET


class ArticleItem(Outgoing):
    """An article in a list, without its body."""

    id: UUID
    workspace_id: UUID | None
    slug: str
    title: str
    excerpt: str
    language: str
    status: Status
    published_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


class ArticleRead(ArticleItem):
    """One article. `version` is also its ETag; `summaryProvider` says who wrote the summary."""

    body_markdown: str = field(name="body")
    body_html: str = field(name="html")
    summary: str | None
    summary_keywords: Sequence[str] | None
    summary_provider: str | None
    summary_at: datetime | None


class ArticlePage(Outgoing):
    """A page of articles, newest first."""

    items: Sequence[ArticleItem]
    next_cursor: str | None
    prev_cursor: str | None


def item(row: Article) -> ArticleItem:
    return convert(row, ArticleItem, from_attributes=True)


def read(row: Article) -> ArticleRead:
    return convert(row, ArticleRead, from_attributes=True)
