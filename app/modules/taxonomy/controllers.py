"""`/api/v1/tags` and `/categories`, for tenants' apps; the same under `/api/owner`, of all tenants."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.core.etag import IfMatch, etag, versions
from app.core.paging import Page, Pager
from app.core.queries import text_of, uuid_of
from app.modules.taxonomy.models import Category, Tag
from app.modules.taxonomy.permissions import READ, WRITE
from app.modules.taxonomy.schemas import (
    TAXONOMY_ANSWERS,
    CategoryChange,
    CategoryCreate,
    CategoryOwnedCreate,
    CategoryPage,
    CategoryRead,
    TagChange,
    TagCreate,
    TagMerge,
    TagOwnedCreate,
    TagPage,
    TagRead,
    TermFilter,
    category_read,
    tag_read,
)
from app.modules.taxonomy.service import CATEGORY_SORTS, TAG_SORTS, TaxonomyService

TenantId = Annotated[str | None, QueryParameter(name="tenantId")]
MoveTo = Annotated[str | None, QueryParameter(name="moveTo", description="the category that its articles go to")]


class _Tags(Controller):
    path = "/tags"

    @get("/{tag_id:uuid}", permission=READ)
    async def show(self, tag_id: FromPath[UUID], taxonomy: NamedDependency[TaxonomyService]) -> Response[TagRead]:
        """Read one tag."""
        return await _tag(taxonomy, await taxonomy.tag(tag_id))

    @patch("/{tag_id:uuid}", permission=WRITE, audit="tag.update")
    async def update(
        self,
        tag_id: FromPath[UUID],
        data: JSONBody[TagChange],
        taxonomy: NamedDependency[TaxonomyService],
        if_match: IfMatch = None,
    ) -> Response[TagRead]:
        """Call a tag otherwise, wherever it stands."""
        return await _tag(taxonomy, await taxonomy.change_tag(tag_id, data, expected=versions(if_match)))

    @post("/{tag_id:uuid}/merger", permission=WRITE, audit="tag.merge", status_code=200)
    async def merge(
        self,
        tag_id: FromPath[UUID],
        data: JSONBody[TagMerge],
        taxonomy: NamedDependency[TaxonomyService],
        if_match: IfMatch = None,
    ) -> Response[TagRead]:
        """Give the articles of a tag another one instead, and delete the tag. Answers with the other."""
        return await _tag(taxonomy, await taxonomy.merge_tags(tag_id, data.into, expected=versions(if_match)))

    @delete("/{tag_id:uuid}", permission=WRITE, audit="tag.delete")
    async def discard(
        self, tag_id: FromPath[UUID], taxonomy: NamedDependency[TaxonomyService], if_match: IfMatch = None
    ) -> None:
        """Delete a tag; its articles stay, without it."""
        await taxonomy.delete_tag(tag_id, expected=versions(if_match))


class TagController(_Tags):
    @get("/", permission=READ, sorts=TAG_SORTS)
    async def index(
        self,
        taxonomy: NamedDependency[TaxonomyService],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> TagPage:
        """List tags by name; `q` is a part of it."""
        found = await taxonomy.tags(pager, TermFilter(text=text_of("q", q)), limit=limit, cursor=cursor)
        return await _tags(taxonomy, found)

    @post("/", permission=WRITE, audit="tag.create")
    async def create(self, data: JSONBody[TagCreate], taxonomy: NamedDependency[TaxonomyService]) -> Response[TagRead]:
        """Make a tag. Naming a new one in an article does so as well."""
        tag = await taxonomy.create_tag(data)
        return await _tag(taxonomy, tag, f"/api/v1/tags/{tag.id}")


class OwnerTagController(_Tags):
    @get("/", permission=READ, sorts=TAG_SORTS, cached=TAXONOMY_ANSWERS)
    async def index(
        self,
        taxonomy: NamedDependency[TaxonomyService],
        pager: NamedDependency[Pager],
        tenant: TenantId = None,
        q: FromQuery[str | None] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> TagPage:
        """List all tenants' tags by name; `q` is a part of it."""
        wanted = TermFilter(uuid_of("tenantId", tenant), text_of("q", q))
        return await _tags(taxonomy, await taxonomy.tags(pager, wanted, limit=limit, cursor=cursor))

    @post("/", permission=WRITE, audit="tag.create")
    async def create(
        self, data: JSONBody[TagOwnedCreate], taxonomy: NamedDependency[TaxonomyService]
    ) -> Response[TagRead]:
        """Make a tag of a tenant."""
        tag = await taxonomy.create_tag(data, data.tenant_id)
        return await _tag(taxonomy, tag, f"/api/owner/tags/{tag.id}")


class _Categories(Controller):
    path = "/categories"

    @get("/{category_id:uuid}", permission=READ)
    async def show(
        self, category_id: FromPath[UUID], taxonomy: NamedDependency[TaxonomyService]
    ) -> Response[CategoryRead]:
        """Read one category."""
        return await _category(taxonomy, await taxonomy.category(category_id))

    @patch("/{category_id:uuid}", permission=WRITE, audit="category.update")
    async def update(
        self,
        category_id: FromPath[UUID],
        data: JSONBody[CategoryChange],
        taxonomy: NamedDependency[TaxonomyService],
        if_match: IfMatch = None,
    ) -> Response[CategoryRead]:
        """Call a category otherwise, or put it elsewhere in the tree: what stands under it moves along."""
        row = await taxonomy.change_category(category_id, data, expected=versions(if_match))
        return await _category(taxonomy, row)

    @delete("/{category_id:uuid}", permission=WRITE, audit="category.delete")
    async def discard(
        self,
        category_id: FromPath[UUID],
        taxonomy: NamedDependency[TaxonomyService],
        move_to: MoveTo = None,
        if_match: IfMatch = None,
    ) -> None:
        """Delete a category. What stands under it moves up; its articles stay, under `moveTo` where that is given."""
        target = uuid_of("moveTo", move_to)
        await taxonomy.delete_category(category_id, move_to=target, expected=versions(if_match))


class CategoryController(_Categories):
    @get("/", permission=READ, sorts=CATEGORY_SORTS)
    async def index(
        self,
        taxonomy: NamedDependency[TaxonomyService],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> CategoryPage:
        """List categories, each followed by those under it; `q` is a part of the name."""
        found = await taxonomy.categories(pager, TermFilter(text=text_of("q", q)), limit=limit, cursor=cursor)
        return await _categories(taxonomy, found)

    @post("/", permission=WRITE, audit="category.create")
    async def create(
        self, data: JSONBody[CategoryCreate], taxonomy: NamedDependency[TaxonomyService]
    ) -> Response[CategoryRead]:
        """Make a category, at the root or under another."""
        row = await taxonomy.create_category(data)
        return await _category(taxonomy, row, f"/api/v1/categories/{row.id}")


class OwnerCategoryController(_Categories):
    @get("/", permission=READ, sorts=CATEGORY_SORTS, cached=TAXONOMY_ANSWERS)
    async def index(
        self,
        taxonomy: NamedDependency[TaxonomyService],
        pager: NamedDependency[Pager],
        tenant: TenantId = None,
        q: FromQuery[str | None] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> CategoryPage:
        """List all tenants' categories; `q` is a part of the name."""
        wanted = TermFilter(uuid_of("tenantId", tenant), text_of("q", q))
        return await _categories(taxonomy, await taxonomy.categories(pager, wanted, limit=limit, cursor=cursor))

    @post("/", permission=WRITE, audit="category.create")
    async def create(
        self, data: JSONBody[CategoryOwnedCreate], taxonomy: NamedDependency[TaxonomyService]
    ) -> Response[CategoryRead]:
        """Make a category of a tenant."""
        row = await taxonomy.create_category(data, data.tenant_id)
        return await _category(taxonomy, row, f"/api/owner/categories/{row.id}")


async def _tag(taxonomy: TaxonomyService, row: Tag, location: str | None = None) -> Response[TagRead]:
    headers = etag(row.version) | ({"Location": location} if location else {})
    return Response(tag_read(row, await taxonomy.counts([row])), status_code=201 if location else 200, headers=headers)


async def _tags(taxonomy: TaxonomyService, page: Page[Tag]) -> TagPage:
    counts = await taxonomy.counts(page.items)
    items = [tag_read(row, counts) for row in page.items]
    return TagPage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)


async def _category(taxonomy: TaxonomyService, row: Category, location: str | None = None) -> Response[CategoryRead]:
    headers = etag(row.version) | ({"Location": location} if location else {})
    body = category_read(row, await taxonomy.counts([row]))
    return Response(body, status_code=201 if location else 200, headers=headers)


async def _categories(taxonomy: TaxonomyService, page: Page[Category]) -> CategoryPage:
    counts = await taxonomy.counts(page.items)
    items = [category_read(row, counts) for row in page.items]
    return CategoryPage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)
