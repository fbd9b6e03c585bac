"""Articles on the wire. The body is Markdown; `html` is what the server made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field
from sqlalchemy import Row

from app.core.etag import Expected
from app.core.moments import moment
from app.core.queries import many, one_of, text_of, uuid_of, wire_name
from app.core.wire import Incoming, Outgoing
from app.modules.articles.models import Article, Publication, Status, Treatment
from app.modules.taxonomy.service import Term, Terms
from app.redis.cached import Cached

_KEPT = "Lists of articles and of what readers see, over the tenants' API."
ARTICLE_ANSWERS = Cached("tenant", "articles", "answers", Raw, 300, ("articles",), _KEPT, per_tenant=True)
MAX_TITLE = 300
MAX_SLUG = 200
MAX_BODY = 300_000
MAX_REASON = 300
MOST_AT_ONCE = 500
Title = Annotated[str, Meta(min_length=1, max_length=MAX_TITLE, examples=["How we print maps"])]
Body = Annotated[str, Meta(max_length=MAX_BODY, description="Markdown", examples=["# How we print maps\n\nOn paper."])]
Slug = Annotated[str, Meta(min_length=1, max_length=MAX_SLUG, examples=["how-we-print-maps"])]
Reason = Annotated[str, Meta(min_length=1, max_length=MAX_REASON, examples=["The tide table was of last year"])]
Number = Annotated[int, Meta(ge=1, le=2**31 - 1, description="The number of a version", examples=[3])]
# `$` alone would let a line break through at the end.
Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}$(?!\n)", examples=["en", "pt-BR"])]


TagNames = Annotated[
    list[str], Meta(max_length=50, description="By name; new ones are made", examples=[["Maps", "Tide tables"]])
]
CategorySlugs = Annotated[list[str], Meta(max_length=50, description="By slug", examples=[["printing"]])]


@dataclass(frozen=True, slots=True)
class ArticleFilter:
    """Which articles; None means any. `text` is words in any form, or a part of the title. Times are half open.

    `tag` and `category` are slugs; what stands under a category below it fits as well.
    """

    tenant_id: UUID | None = None
    status: Status | None = None
    language: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    tag: str | None = None
    category: str | None = None


class ArticleQuery(Struct, frozen=True, kw_only=True, rename=wire_name):
    """The filters as the address has them. An empty one is none, as browsers send it."""

    q: str | None = None
    status: str | None = None
    language: str | None = None
    tenant_id: str | None = None
    since: str | None = None
    until: str | None = None
    tag: str | None = None
    category: str | None = None

    def filter(self) -> ArticleFilter:
        """
        Raises:
            Invalid: naming what cannot be read.
        """
        return ArticleFilter(
            tenant_id=uuid_of("tenantId", self.tenant_id),
            status=one_of("status", self.status, Status),
            language=text_of("language", self.language),
            text=text_of("q", self.q),
            since=moment("from", self.since),
            until=moment("to", self.until, end=True),
            tag=text_of("tag", self.tag),
            category=text_of("category", self.category),
        )


class ArticleCreate(Incoming):
    """A new draft. Without a slug it gets one made of the title."""

    title: Title
    body: Body
    slug: Slug | None = None
    language: Language = "en"
    workspace_id: UUID | None = None
    tags: TagNames | UnsetType = UNSET
    categories: CategorySlugs | UnsetType = UNSET


class ArticleChange(Incoming):
    """What to change; fields that are left out stay as they are. Tags and categories are no part of a version."""

    title: Title | UnsetType = UNSET
    body: Body | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    language: Language | UnsetType = UNSET
    tags: TagNames | UnsetType = UNSET
    categories: CategorySlugs | UnsetType = UNSET


class ArticleEdit(ArticleChange):
    """A change, and why it is made, for those who read the list of versions."""

    reason: Reason | None = None


class PublicationWish(Incoming):
    """Which version readers shall see; the newest where none is named."""

    version: Number | None = None


class BatchCreate(Incoming):
    """What is done with which articles; at most 500."""

    treatment: Treatment
    ids: Annotated[list[UUID], Meta(min_length=1, max_length=MOST_AT_ONCE)]


class BatchRead(Outgoing):
    """The job that does it."""

    job_id: UUID


class ArticleItem(Outgoing):
    """An article in a list, without its body.

    `status` is that of its newest version, `draftVersion`; readers see `publishedVersion` while there is one.
    """

    id: UUID
    workspace_id: UUID | None
    slug: str
    title: str
    excerpt: str
    language: str
    status: Status
    draft_version: int
    published_version: int | None
    published_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int
    tags: Sequence[Term]
    categories: Sequence[Term]


class ArticleRead(ArticleItem):
    """One article. `version` is also its ETag; `summaryProvider` says who wrote the summary."""

    body_markdown: str = field(name="body")
    body_html: str = field(name="html")
    summary: str | None
    summary_keywords: Sequence[str] | None
    summary_provider: str | None
    summary_at: datetime | None


class ArticlePage(Outgoing):
    """A page of articles, in the order that was asked for."""

    items: Sequence[ArticleItem]
    next_cursor: str | None
    prev_cursor: str | None


class OwnedArticle(ArticleItem):
    """An article in the owner's list."""

    tenant_id: UUID


class OwnedArticlePage(Outgoing):
    """A page of all tenants' articles."""

    items: Sequence[OwnedArticle]
    next_cursor: str | None
    prev_cursor: str | None


class PublicationItem(Outgoing):
    """What readers see of an article, in a list. `publishedAt` is when they first saw it, `updatedAt` this version."""

    article_id: UUID
    number: int = field(name="version")
    slug: str
    title: str
    excerpt: str
    language: str
    published_at: datetime
    updated_at: datetime
    tags: Sequence[Term]
    categories: Sequence[Term]


class PublicationRead(PublicationItem):
    """What readers see of an article. `version` is also its ETag."""

    body_html: str = field(name="html")


class PublicationPage(Outgoing):
    """A page of what readers see, what was published last first."""

    items: Sequence[PublicationItem]
    next_cursor: str | None
    prev_cursor: str | None


Shape = TypeVar("Shape", bound=Outgoing)
Listed = Article | Publication | Row[Any]
"""An article, what readers see of one, or a row of a list of either."""
Filed = Mapping[UUID, Terms]
"""Under what articles stand, by their ids; those that stand under nothing are left out."""


def publication_item(row: Publication | Row[Any], filed: Filed) -> PublicationItem:
    return _with_terms(row, PublicationItem, filed.get(row.article_id))


def publication_read(row: Publication, filed: Filed) -> PublicationRead:
    return _with_terms(row, PublicationRead, filed.get(row.article_id))


def item(row: Article | Row[Any], filed: Filed) -> ArticleItem:
    return _with_terms(row, ArticleItem, filed.get(row.id))


def owned(row: Article | Row[Any], filed: Filed) -> OwnedArticle:
    return _with_terms(row, OwnedArticle, filed.get(row.id))


def read(row: Article, filed: Filed) -> ArticleRead:
    return _with_terms(row, ArticleRead, filed.get(row.id))


def _with_terms(row: Listed, shape: type[Shape], terms: Terms | None) -> Shape:
    found = terms or Terms()
    names = [name for name in shape.__struct_fields__ if name not in ("tags", "categories")]
    if isinstance(row, Row):  # which is slow to tell its values one by one
        held = row._asdict()
        own = {name: held[name] for name in names}
    else:
        own = {name: getattr(row, name) for name in names}
    return shape(**own, tags=found.tags, categories=found.categories)


class ArticleForm(Incoming):
    """The dashboard's form. Without a slug a new article gets one made of the title, an old one keeps its own."""

    title: Title
    body: Body = ""
    language: Language = "en"
    slug: Annotated[str, Meta(max_length=MAX_SLUG)] = ""
    tags: str | UnsetType = UNSET
    """Between commas."""
    categories: list[str] | str | UnsetType = UNSET
    """Slugs of those that are ticked, and an empty one, so that a form with none ticked takes all away."""
    reason: Annotated[str, Meta(max_length=MAX_REASON)] = ""
    version: int | None = None
    csrf_token: str = field(name="_csrf_token", default="")

    def new(self) -> ArticleCreate:
        slug, language = self.slug.strip() or None, self.language
        return ArticleCreate(title=self.title, body=self._text(), slug=slug, language=language, **self._terms())

    def change(self) -> ArticleChange:
        slug = self.slug.strip() or UNSET
        language = self.language
        return ArticleChange(title=self.title, body=self._text(), slug=slug, language=language, **self._terms())

    def _terms(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.tags is not UNSET:
            found["tags"] = [name for each in self.tags.split(",") if (name := each.strip())]
        if self.categories is not UNSET:
            found["categories"] = [slug for slug in many(self.categories) if slug]
        return found

    def _text(self) -> str:
        """Browsers end lines in their own way."""
        return self.body.replace("\r\n", "\n")


class BatchForm(Incoming):
    """The rows that are ticked in the list, and what is done with them."""

    treatment: Treatment
    ids: list[UUID] | UUID = field(default_factory=list)
    """A browser that has one box ticked sends no list."""
    csrf_token: str = field(name="_csrf_token", default="")

    def chosen(self) -> list[UUID]:
        return self.ids if isinstance(self.ids, list) else [self.ids]


class ActForm(Incoming):
    """A button that acts on an article as it was shown."""

    version: int | None = None
    csrf_token: str = field(name="_csrf_token", default="")

    @property
    def expected(self) -> Expected:
        return None if self.version is None else {self.version}
