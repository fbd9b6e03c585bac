"""Categories and tags on the wire."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Raw, UnsetType, field

from app.core.queries import uuid_of
from app.core.wire import Incoming, Outgoing
from app.modules.taxonomy.models import Category, Tag
from app.redis.cached import Cached

MAX_NAME, MAX_SLUG, MOST_LEVELS = 100, 120, 5
TAXONOMY_ANSWERS = Cached("owner", "taxonomy", "answers", Raw, 30, ("taxonomy",), "Categories and tags, over the API.")
TagName = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, description="No comma", examples=["Tide tables"])]
CategoryName = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, examples=["Printing"])]
TermSlug = Annotated[str, Meta(min_length=1, max_length=MAX_SLUG, examples=["tide-tables"])]


@dataclass(frozen=True, slots=True)
class TermFilter:
    """Which tags or categories; None means any. `text` is a part of the name."""

    tenant_id: UUID | None = None
    text: str | None = None


class Term(Outgoing):
    """A tag or a category, as an article shows it."""

    name: str
    slug: str


class Terms(Outgoing):
    """Under what an article stands, by name."""

    tags: Sequence[Term] = ()
    categories: Sequence[Term] = ()


class TagCreate(Incoming):
    """A new tag. Without a slug it gets one made of the name."""

    name: TagName
    slug: TermSlug | None = None


class TagOwnedCreate(TagCreate, kw_only=True):
    """A new tag of a tenant."""

    tenant_id: UUID


class TagChange(Incoming):
    """What to change; fields that are left out stay as they are."""

    name: TagName | UnsetType = UNSET
    slug: TermSlug | UnsetType = UNSET


class TagMerge(Incoming):
    """The tag that its articles have from then on."""

    into: UUID


class CategoryCreate(Incoming):
    """A new category, at the root or under another. Without a slug it gets one made of the name."""

    name: CategoryName
    slug: TermSlug | None = None
    parent_id: UUID | None = None


class CategoryOwnedCreate(CategoryCreate, kw_only=True):
    """A new category of a tenant."""

    tenant_id: UUID


class CategoryChange(Incoming):
    """What to change; fields that are left out stay as they are. What stands under it moves along with it."""

    name: CategoryName | UnsetType = UNSET
    slug: TermSlug | UnsetType = UNSET
    parent_id: UUID | UnsetType | None = UNSET


class TagRead(Term):
    """A tag, and how many articles have it. `version` is also its ETag."""

    id: UUID
    tenant_id: UUID
    articles: int
    created_at: datetime
    updated_at: datetime
    version: int


class TagPage(Outgoing):
    """A page of tags, by name."""

    items: Sequence[TagRead]
    next_cursor: str | None
    prev_cursor: str | None


class CategoryRead(TagRead):
    """A category. `depth` is 0 at the root; `articles` are those of itself, without what stands under it."""

    parent_id: UUID | None
    depth: int


class CategoryPage(Outgoing):
    """A page of categories, each followed by those under it."""

    items: Sequence[CategoryRead]
    next_cursor: str | None
    prev_cursor: str | None


class TagForm(Incoming):
    """The dashboard's form of a tag."""

    name: TagName
    slug: Annotated[str, Meta(max_length=MAX_SLUG)] = ""
    tenant_id: str = ""
    """Whose it is to be, where the platform makes it."""
    version: int | None = None
    csrf_token: str = field(name="_csrf_token", default="")

    def new(self) -> TagCreate:
        return TagCreate(name=self.name, slug=self.slug.strip() or None)

    def change(self) -> TagChange:
        return TagChange(name=self.name, slug=self.slug.strip() or UNSET)


class CategoryForm(TagForm):
    """The dashboard's form of a category."""

    parent_id: str = ""

    def place(self) -> UUID | None:
        """
        Raises:
            Invalid (`parentId`).
        """
        return uuid_of("parentId", self.parent_id)


class MergeForm(Incoming):
    """The choice of another tag."""

    into: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


class RemovalForm(Incoming):
    """Where a category's articles go; nowhere, where it is empty."""

    move_to: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


def tag_read(row: Tag, counts: Mapping[UUID, int]) -> TagRead:
    return TagRead(**_shared(row, counts))


def category_read(row: Category, counts: Mapping[UUID, int]) -> CategoryRead:
    return CategoryRead(**_shared(row, counts), parent_id=row.parent_id, depth=row.depth)


def _shared(row: Tag | Category, counts: Mapping[UUID, int]) -> dict[str, Any]:
    return {
        "id": row.id,
        "tenant_id": row.tenant_id,
        "name": row.name,
        "slug": row.slug,
        "articles": counts.get(row.id, 0),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "version": row.version,
    }
