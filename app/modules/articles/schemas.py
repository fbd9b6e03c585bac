"""Articles on the wire. The body is Markdown; `html` is what the server made of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from app.core.wire import Incoming, Outgoing
from app.modules.articles.models import Article, Status

MAX_BODY = 1_000_000
Title = Annotated[str, Meta(min_length=1, max_length=300, examples=["How we print maps"])]
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


class Summary(Outgoing):
    """What the AI wrote, and which provider did."""

    text: str
    keywords: Sequence[str]
    provider: str
    at: datetime


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

    @classmethod
    def of(cls, row: Article) -> "ArticleItem":
        return cls(**_shared(row))


class ArticleRead(ArticleItem):
    """One article. `version` is also its ETag."""

    body: str
    html: str
    summary: Summary | None

    @classmethod
    def of(cls, row: Article) -> "ArticleRead":
        return cls(**_shared(row), body=row.body_markdown, html=row.body_html, summary=_summary(row))


class ArticlePage(Outgoing):
    """A page of articles, newest first."""

    items: Sequence[ArticleItem]
    next_cursor: str | None
    prev_cursor: str | None


def _shared(row: Article) -> dict[str, object]:
    names = [name for name in ArticleItem.__struct_fields__ if name != "status"]
    return {name: getattr(row, name) for name in names} | {"status": Status(row.status)}


def _summary(row: Article) -> Summary | None:
    if row.summary is None or row.summary_provider is None or row.summary_at is None:
        return None
    return Summary(
        text=row.summary, keywords=row.summary_keywords or [], provider=row.summary_provider, at=row.summary_at
    )
