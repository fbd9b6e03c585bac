"""`/tags` and `/categories` in the dashboards: what articles are sorted under."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.errors import Invalid
from app.core.etag import Expected
from app.core.paging import Pager
from app.core.queries import text_of, uuid_of
from app.core.templating import gone_to, prefix_of, render, told
from app.modules.audit.service import tenant_names as tenant_names_of
from app.modules.taxonomy.models import Category, Tag
from app.modules.taxonomy.permissions import READ, WRITE
from app.modules.taxonomy.schemas import (
    CategoryChange,
    CategoryCreate,
    CategoryForm,
    MergeForm,
    RemovalForm,
    TagForm,
    TermFilter,
)
from app.modules.taxonomy.service import CATEGORY_SORTS, TAG_SORTS, TaxonomyService, category_choices, tag_choices
from app.modules.tenants.service import tenant_names

AnyRequest = Request[Any, Any, Any]
FILTERS = ("q", "tenantId")


class TagPages(Controller):
    path = "/tags"

    @get("/", permission=READ, sorts=TAG_SORTS)
    async def index(
        self,
        request: AnyRequest,
        taxonomy: NamedDependency[TaxonomyService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        return await _tags(request, taxonomy, session, pager, cursor)

    @post("/", permission=WRITE, audit="tag.create", status_code=200)
    async def create(
        self,
        request: AnyRequest,
        taxonomy: NamedDependency[TaxonomyService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        data: URLEncodedBody[TagForm],
    ) -> Template:
        tag = await taxonomy.create_tag(data.new(), _tenant_of(session, data))
        return told(await _tags(request, taxonomy, session, pager), f"{tag.name} is made.")

    @get("/{tag_id:uuid}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        taxonomy: NamedDependency[TaxonomyService],
        session: NamedDependency[AsyncSession],
        tag_id: FromPath[UUID],
        part: FromQuery[bool] = False,
    ) -> Template:
        return await _tag(request, taxonomy, session, await taxonomy.tag(tag_id), part)

    @post("/{tag_id:uuid}", permission=WRITE, audit="tag.update", status_code=200)
    async def update(
        self,
        request: AnyRequest,
        taxonomy: NamedDependency[TaxonomyService],
        session: NamedDependency[AsyncSession],
        tag_id: FromPath[UUID],
        data: URLEncodedBody[TagForm],
    ) -> Template:
        tag = await taxonomy.change_tag(tag_id, data.change(), expected=_expected(data))
        return told(await _tag(request, taxonomy, session, tag, True), f"It is called {tag.name} now.")

    @post("/{tag_id:uuid}/merger", permission=WRITE, audit="tag.merge", status_code=200)
    async def merge(
        self,
        request: AnyRequest,
        taxonomy: NamedDependency[TaxonomyService],
        tag_id: FromPath[UUID],
        data: URLEncodedBody[MergeForm],
    ) -> Response[bytes]:
        into = uuid_of("into", data.into)
        if into is None:
            raise Invalid.field("into", "choose a tag")
        tag = await taxonomy.merge_tags(tag_id, into)
        return gone_to(f"{prefix_of(request)}/tags/{tag.id}")

    @post("/{tag_id:uuid}/removal", permission=WRITE, audit="tag.delete", status_code=200)
    async def discard(
        self, request: AnyRequest, taxonomy: NamedDependency[TaxonomyService], tag_id: FromPath[UUID]
    ) -> Response[bytes]:
        await taxonomy.delete_tag(tag_id)
        return gone_to(f"{prefix_of(request)}/tags")


class CategoryPages(Controller):
    path = "/categories"

    @get("/", permission=READ, sorts=CATEGORY_SORTS)
    async def index(
        self,
        request: AnyRequest,
        taxonomy: NamedDependency[TaxonomyService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        return await _categories(request, taxonomy, session, pager, cursor)

    @post("/", permission=WRITE, audit="category.create", status_code=200)
    async def create(
        self,
        request: AnyRequest,
        taxonomy: NamedDependency[TaxonomyService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        data: URLEncodedBody[CategoryForm],
    ) -> Template:
        new = CategoryCreate(name=data.name, slug=data.slug.strip() or None, parent_id=data.place())
        row = await taxonomy.create_category(new, _tenant_of(session, data))
        return told(await _categories(request, taxonomy, session, pager), f"{row.name} is made.")

    @get("/{category_id:uuid}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        taxonomy: NamedDependency[TaxonomyService],
        session: NamedDependency[AsyncSession],
        category_id: FromPath[UUID],
        part: FromQuery[bool] = False,
    ) -> Template:
        return await _category(request, taxonomy, session, await taxonomy.category(category_id), part)

    @post("/{category_id:uuid}", permission=WRITE, audit="category.update", status_code=200)
    async def update(
        self,
        request: AnyRequest,
        taxonomy: NamedDependency[TaxonomyService],
        session: NamedDependency[AsyncSession],
        category_id: FromPath[UUID],
        data: URLEncodedBody[CategoryForm],
    ) -> Template:
        named = data.change()
        change = CategoryChange(name=named.name, slug=named.slug, parent_id=data.place())
        row = await taxonomy.change_category(category_id, change, expected=_expected(data))
        return told(await _category(request, taxonomy, session, row, True), f"{row.name} is changed.")

    @post("/{category_id:uuid}/removal", permission=WRITE, audit="category.delete", status_code=200)
    async def discard(
        self,
        request: AnyRequest,
        taxonomy: NamedDependency[TaxonomyService],
        category_id: FromPath[UUID],
        data: URLEncodedBody[RemovalForm],
    ) -> Response[bytes]:
        await taxonomy.delete_category(category_id, move_to=uuid_of("moveTo", data.move_to))
        return gone_to(f"{prefix_of(request)}/categories")


async def _tags(
    request: AnyRequest, taxonomy: TaxonomyService, session: AsyncSession, pager: Pager, cursor: str | None = None
) -> Template:
    wanted, context = await _shared(request, session, "tags", cursor, pager.order)
    context["page"] = page = await taxonomy.tags(pager, wanted, cursor=cursor)
    context["counts"] = await taxonomy.counts(page.items)
    return render(request, "taxonomy/tags.html", context, fragment="taxonomy/_tags.html")


async def _categories(
    request: AnyRequest, taxonomy: TaxonomyService, session: AsyncSession, pager: Pager, cursor: str | None = None
) -> Template:
    wanted, context = await _shared(request, session, "categories", cursor, pager.order)
    context["page"] = page = await taxonomy.categories(pager, wanted, cursor=cursor)
    context["counts"] = await taxonomy.counts(page.items)
    tenant = wanted.tenant_id if scope_of(session).plane is Plane.PLATFORM else scope_of(session).tenant_id
    context["places"] = await category_choices(session, tenant) if tenant else []
    return render(request, "taxonomy/categories.html", context, fragment="taxonomy/_categories.html")


async def _tag(request: AnyRequest, taxonomy: TaxonomyService, session: AsyncSession, tag: Tag, part: bool) -> Template:
    context = {
        "path": f"{prefix_of(request)}/tags",
        "row": tag,
        "articles": (await taxonomy.counts([tag])).get(tag.id, 0),
        "others": [each for each in await tag_choices(session, tag.tenant_id) if each.id != tag.id],
        "tenants": await tenant_names_of(session, [tag.tenant_id]),
    }
    fragment = "taxonomy/_tag.html" if part else "taxonomy/_tag_drawer.html"
    return render(request, "taxonomy/tag.html", context, fragment=fragment)


async def _category(
    request: AnyRequest, taxonomy: TaxonomyService, session: AsyncSession, row: Category, part: bool
) -> Template:
    everywhere = await category_choices(session, row.tenant_id)
    context = {
        "path": f"{prefix_of(request)}/categories",
        "row": row,
        "articles": (await taxonomy.counts([row])).get(row.id, 0),
        "above": [each.name for each in everywhere if f"{row.path} ".startswith(f"{each.path} ") and each.id != row.id],
        "places": [each for each in everywhere if not f"{each.path} ".startswith(f"{row.path} ")],
        "others": [each for each in everywhere if each.id != row.id],
        "tenants": await tenant_names_of(session, [row.tenant_id]),
    }
    fragment = "taxonomy/_category.html" if part else "taxonomy/_category_drawer.html"
    return render(request, "taxonomy/category.html", context, fragment=fragment)


async def _shared(
    request: AnyRequest, session: AsyncSession, name: str, cursor: str | None, order: dict[str, str]
) -> tuple[TermFilter, dict[str, Any]]:
    given = request.query_params if request.method == "GET" else {}
    params = {key: given[key] for key in FILTERS if given.get(key)}
    wanted = TermFilter(uuid_of("tenantId", params.get("tenantId")), text_of("q", params.get("q")))
    names = await tenant_names(session)
    return wanted, {
        "path": f"{prefix_of(request)}/{name}",
        "params": params | order,
        "cursor": cursor,
        "tenants": names,
        "platform": scope_of(session).plane is Plane.PLATFORM,
    }


def _tenant_of(session: AsyncSession, data: TagForm) -> UUID | None:
    tenant_id = uuid_of("tenantId", data.tenant_id)
    if scope_of(session).plane is Plane.PLATFORM and tenant_id is None:
        raise Invalid.field("tenantId", "is wanted: whose it is")
    return tenant_id


def _expected(data: TagForm) -> Expected:
    return None if data.version is None else {data.version}
