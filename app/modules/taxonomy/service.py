"""The rules of categories and tags: what they are called, how deep the tree is, and what articles stand under."""

from collections.abc import Collection, Sequence
from typing import Any, TypeVar
from uuid import UUID

from msgspec import UNSET, UnsetType
from slugify import slugify
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.errors import Conflict, FieldError, Invalid, NotFound
from app.core.etag import Expected, require
from app.core.events import emit
from app.core.ids import new_id
from app.core.live import signal
from app.core.locks import hold
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.wire import one_line
from app.modules.audit.service import record
from app.modules.taxonomy import repository
from app.modules.taxonomy.events import TermsChanged
from app.modules.taxonomy.models import ArticleCategory, ArticleTag, Category, Tag
from app.modules.taxonomy.repository import under as under
from app.modules.taxonomy.schemas import (
    MAX_NAME,
    MOST_LEVELS,
    TAXONOMY_ANSWERS,
    CategoryChange,
    CategoryCreate,
    TagChange,
    TagCreate,
    TermFilter,
)
from app.modules.taxonomy.schemas import Term as Term
from app.modules.taxonomy.schemas import Terms as Terms
from app.modules.tenants.service import TenantService
from app.redis.cache import drop

TOPIC = "taxonomy"
MOST_TAGS, MOST_CATEGORIES, MOST_OF_ARTICLE = 2_000, 500, 50
T = TypeVar("T", Tag, Category)
TAG_SORTS = Sorts("name", {"name": Tag.name, "createdAt": Tag.id, "updatedAt": Tag.updated_at})
CATEGORY_SORTS = Sorts(
    "path", {"path": Category.path, "name": Category.name, "createdAt": Category.id, "updatedAt": Category.updated_at}
)
_KINDS: dict[type[Any], tuple[str, str]] = {Tag: ("tag", "Tags"), Category: ("category", "Categories")}


class TaxonomyService:
    """The categories and tags that the session's transaction may see. They are of a whole tenant: a caller tied to a
    workspace may put its articles under them, and nothing else.

    Every change is audited in its transaction.
    """

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def tags(self, pager: Pager, wanted: TermFilter, *, limit: int = 25, cursor: str | None = None) -> Page[Tag]:
        """By name."""
        return await self._page(pager, Tag, TAG_SORTS, wanted, limit, cursor)

    async def categories(
        self, pager: Pager, wanted: TermFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[Category]:
        """Each followed by those under it."""
        return await self._page(pager, Category, CATEGORY_SORTS, wanted, limit, cursor)

    async def counts(self, rows: Sequence[Tag] | Sequence[Category]) -> dict[UUID, int]:
        """How many articles each has; those that have none are left out."""
        kind: Any = type(rows[0]) if rows else Tag
        return await repository.counts(self._session, kind, [row.id for row in rows])

    async def tag(self, tag_id: UUID) -> Tag:
        """
        Raises:
            NotFound.
        """
        return await self._one(Tag, tag_id)

    async def category(self, category_id: UUID) -> Category:
        """
        Raises:
            NotFound.
        """
        return await self._one(Category, category_id)

    async def create_tag(self, new: TagCreate, tenant_id: UUID | None = None) -> Tag:
        """Args:
            tenant_id: whose it is to be, where the platform makes it.

        Raises:
            Invalid, NotFound. Conflict (`name_taken`, `slug_taken`, `too_many`).
        """
        self._actor.for_whole_tenant("Tags")
        tenant = await self._tenant(tenant_id)
        name = _tag_name("name", new.name)
        await self._room(Tag, tenant, 1)
        await self._free_name(Tag, tenant, None, name)
        slug = await self._slug(Tag, tenant, None, new.slug, name)
        tag = Tag(id=new_id(), tenant_id=tenant, name=name, slug=slug)
        return await self._added("tag.create", tag)

    async def change_tag(self, tag_id: UUID, change: TagChange, *, expected: Expected = None) -> Tag:
        """
        Raises:
            NotFound, Stale, Invalid. Conflict (`name_taken`, `slug_taken`).
        """
        tag = await self._one(Tag, tag_id, expected)
        before = _audited(tag)
        if change.name is not UNSET:
            tag.name = await self._free_name(Tag, tag.tenant_id, tag.id, _tag_name("name", change.name))
        if change.slug is not UNSET:
            tag.slug = await self._slug(Tag, tag.tenant_id, tag.id, change.slug, tag.name)
        return await self._changed("tag.update", tag, before)

    async def merge_tags(self, tag_id: UUID, into: UUID, *, expected: Expected = None) -> Tag:
        """Give the articles of one tag another instead, and delete the one. Returns the other.

        Raises:
            NotFound, Stale. Invalid (`into`): it is the same tag, or there is none of this tenant.
        """
        tag = await self._one(Tag, tag_id, expected)
        other = await self._session.get(Tag, into)
        if other is None or other.tenant_id != tag.tenant_id or other.id == tag.id:
            raise Invalid.field("into", "must be another tag of the same tenant")
        if not await repository.lock(self._session, Tag, [tag.id, other.id]):
            raise NotFound("One of the tags is gone by now")
        articles = await self._articles(tag)
        await repository.hand_over(self._session, ArticleTag, tag, other.id)
        await self._gone("tag.merge", tag, articles, {"into": other.name})
        return other

    async def delete_tag(self, tag_id: UUID, *, expected: Expected = None) -> Tag:
        """Its articles stay, without it.

        Raises:
            NotFound, Stale.
        """
        tag = await self._one(Tag, tag_id, expected)
        await self._gone("tag.delete", tag, await self._articles(tag))
        return tag

    async def create_category(self, new: CategoryCreate, tenant_id: UUID | None = None) -> Category:
        """Args:
            tenant_id: whose it is to be, where the platform makes it.

        Raises:
            Invalid, NotFound. Conflict (`name_taken`, `slug_taken`, `too_many`, `too_deep`).
        """
        self._actor.for_whole_tenant("Categories")
        return await self._new_category(await self._tenant(tenant_id), new)

    async def change_category(
        self, category_id: UUID, change: CategoryChange, *, expected: Expected = None
    ) -> Category:
        """What stands under it moves along.

        Raises:
            NotFound, Stale. Invalid (`parentId`): there is none, or it stands under this one.
            Conflict (`name_taken`, `slug_taken`, `too_deep`).
        """
        row = await self._held(category_id, expected)
        before, tenant = _audited(row), row.tenant_id
        parent = await self._parent(tenant, row.parent_id if change.parent_id is UNSET else change.parent_id)
        if parent is not None and f"{parent.path} ".startswith(f"{row.path} "):
            raise Invalid.field("parentId", "must not be the category itself, or one under it")
        _not_too_deep(parent, await repository.height(self._session, row))
        name = row.name if change.name is UNSET else one_line("name", change.name, MAX_NAME)
        await self._free_name(Category, tenant, row.id, name, parent)
        slug = row.slug if change.slug is UNSET else await self._slug(Category, tenant, row.id, change.slug, name)
        path = _path(parent, slug)
        if path != row.path:
            await repository.repath(self._session, row, path)
        row.name, row.slug, row.path, row.parent_id = name, slug, path, parent.id if parent else None
        return await self._changed("category.update", row, before)

    async def delete_category(
        self, category_id: UUID, *, move_to: UUID | None = None, expected: Expected = None
    ) -> Category:
        """What stands under it moves up to where it stood; its articles stay, without it or under another.

        Args:
            move_to: the category that its articles stand under from then on.

        Raises:
            NotFound, Stale. Invalid (`moveTo`): there is no other one of the tenant with this id.
            Conflict (`name_taken`): where it stood is one called like one that stood under it.
        """
        row = await self._held(category_id, expected)
        await repository.lock(self._session, Category, {row.id, move_to or row.id})
        articles = await self._articles(row)
        if move_to is not None:
            other = await self._session.get(Category, move_to)
            if other is None or other.tenant_id != row.tenant_id or other.id == row.id:
                raise Invalid.field("moveTo", "must be another category of the same tenant")
            await repository.hand_over(self._session, ArticleCategory, row, other.id)
        parent = await self._parent(row.tenant_id, row.parent_id)
        for child in await repository.children(self._session, row):
            await self._free_name(Category, row.tenant_id, child.id, child.name, parent, "move or rename it first")
            await repository.repath(self._session, child, _path(parent, child.slug))
            child.path, child.parent_id = _path(parent, child.slug), row.parent_id
        await self._session.flush()
        await self._gone("category.delete", row, articles)
        return row

    async def label(
        self,
        tenant_id: UUID,
        article_id: UUID,
        tags: Collection[str] | UnsetType = UNSET,
        categories: Collection[str] | UnsetType = UNSET,
    ) -> tuple[dict[str, list[str]], dict[str, list[str]]] | None:
        """Have an article these tags, by name, and stand under these categories, by slug; what is unset stays.

        A tag that nobody has used is made; a category has to be there.

        Returns:
            the names under which it stood and those under which it does, for the log; None where it is the same.

        Raises:
            Invalid (`tags`, `categories`): naming what is wrong. Conflict (`too_many`).
        """
        this = [(tenant_id, article_id)]
        before = (await terms_of(self._session, this)).get(article_id, Terms())
        if tags is not UNSET:
            rows = await self._tags_called(tenant_id, tags)
            await repository.relink(self._session, ArticleTag, tenant_id, article_id, {row.id for row in rows})
        if categories is not UNSET:
            found = await self._categories_called(tenant_id, categories)
            await repository.relink(self._session, ArticleCategory, tenant_id, article_id, {row.id for row in found})
        after = (await terms_of(self._session, this)).get(article_id, Terms())
        if after == before:
            return None
        signal(self._session, TOPIC, article_id, tenant_id)
        drop(self._session, *TAXONOMY_ANSWERS.tags)
        return _names(before), _names(after)

    async def category_of(self, tenant_id: UUID, names: Sequence[str]) -> str:
        """The slug of the category at the end of these names, from the root down; what is missing is made.

        Raises:
            Invalid (`name`), Conflict (`too_many`, `too_deep`). Forbidden (`workspace_token`): one is missing, and who
            is tied to a workspace makes none.
        """
        await hold(self._session, f"categories {tenant_id}")
        row: Category | None = None
        for name in names:
            label, above = one_line("name", name, MAX_NAME), row.id if row else None
            row = await repository.category_at(self._session, tenant_id, above, label)
            if row is None:
                self._actor.for_whole_tenant("Categories")
                row = await self._new_category(tenant_id, CategoryCreate(name=label, parent_id=above))
        if row is None:
            raise Invalid.field("name", "must not be empty")
        return row.slug

    async def _page(
        self, pager: Pager, kind: type[T], sorts: Sorts, wanted: TermFilter, limit: int, cursor: str | None
    ) -> Page[T]:
        name, label = _KINDS[kind]
        self._actor.for_whole_tenant(label)
        of = f"{name} {self._actor.tenant_id} {wanted}"
        query: Any = repository.fitting(kind, wanted)
        return await pager.page(self._session, query, key=kind.id, of=of, limit=limit, cursor=cursor, sorts=sorts)

    async def _one(self, kind: type[T], id_: UUID, expected: Expected = None) -> T:
        name, label = _KINDS[kind]
        self._actor.for_whole_tenant(label)
        row: T | None = await self._session.get(kind, id_)
        if row is None:
            raise NotFound(f"There is no {name} with this id")
        require(row.version, expected, name)
        return row

    async def _held(self, category_id: UUID, expected: Expected) -> Category:
        """As it is once nobody else changes the tree."""
        row = await self._one(Category, category_id)
        await hold(self._session, f"categories {row.tenant_id}")
        await self._session.refresh(row)
        require(row.version, expected, "category")
        return row

    async def _tenant(self, asked: UUID | None) -> UUID:
        if asked is None or self._actor.plane is Plane.TENANT:
            return self._actor.tenant_id
        return (await TenantService(self._session, self._actor).get(asked)).id

    async def _new_category(self, tenant: UUID, new: CategoryCreate) -> Category:
        await hold(self._session, f"categories {tenant}")
        name = one_line("name", new.name, MAX_NAME)
        parent = await self._parent(tenant, new.parent_id)
        _not_too_deep(parent, 0)
        await self._room(Category, tenant, 1)
        await self._free_name(Category, tenant, None, name, parent)
        slug = await self._slug(Category, tenant, None, new.slug, name)
        row = Category(
            id=new_id(),
            tenant_id=tenant,
            parent_id=parent.id if parent else None,
            name=name,
            slug=slug,
            path=_path(parent, slug),
        )
        return await self._added("category.create", row)

    async def _parent(self, tenant: UUID, id_: UUID | None) -> Category | None:
        row = None if id_ is None else await self._session.get(Category, id_)
        if id_ is not None and (row is None or row.tenant_id != tenant):
            raise Invalid.field("parentId", "there is no category with this id")
        return row

    async def _tags_called(self, tenant: UUID, names: Collection[str]) -> list[Tag]:
        wanted = {name.lower(): name for name in reversed([_tag_name("tags", each) for each in names])}
        _not_too_many("tags", wanted)
        found = {row.name.lower(): row for row in await repository.tags_named(self._session, tenant, wanted.values())}
        missing = sorted(wanted.keys() - found.keys())
        if missing:
            await self._room(Tag, tenant, len(missing))
        for key in missing:
            tag = await repository.add_tag(self._session, tenant, wanted[key])
            if tag is not None:
                found[key] = tag
                await self._trace("tag.create", tag, None, _audited(tag))
        late = await repository.tags_named(self._session, tenant, [wanted[key] for key in missing if key not in found])
        return [*found.values(), *late]

    async def _categories_called(self, tenant: UUID, slugs: Collection[str]) -> Sequence[Category]:
        _not_too_many("categories", set(slugs))
        found = await repository.categories_called(self._session, tenant, set(slugs))
        missing = set(slugs) - {row.slug for row in found}
        if missing:
            raise Invalid.field("categories", f"there is no category with the slug {min(missing)}")
        return found

    async def _room(self, kind: type[T], tenant: UUID, more: int) -> None:
        label, most = _KINDS[kind][1].lower(), MOST_TAGS if kind is Tag else MOST_CATEGORIES
        await hold(self._session, f"{label} {tenant}")
        if await repository.number(self._session, kind, tenant) + more > most:
            raise Conflict(f"A tenant has at most {most:,} {label}: delete or merge some first", code="too_many")

    async def _free_name(
        self,
        kind: type[T],
        tenant: UUID,
        id_: UUID | None,
        name: str,
        parent: Category | None = None,
        hint: str = "choose another name",
    ) -> str:
        if await repository.name_taken(self._session, kind, tenant, id_, name, parent.id if parent else None):
            text = f"there is a {_KINDS[kind][0]} called {name} already: {hint}"
            raise Conflict(f"name: {text}", code="name_taken", errors=[FieldError("name", text)])
        return name

    async def _slug(self, kind: type[T], tenant: UUID, id_: UUID | None, asked: str | None, name: str) -> str:
        """The one asked for, or one made of the name that is free."""
        slug = repository.slug_of(name) if asked is None else asked
        if asked is not None and slugify(asked, allow_unicode=True) != asked:
            raise Invalid.field("slug", "use lower-case letters and digits, with single hyphens between them")
        if not await repository.taken(self._session, kind, tenant, id_, kind.slug == slug):
            return slug
        if asked is None:
            return f"{slug}-{new_id().hex[-7:]}"
        text = f"another {_KINDS[kind][0]} has it"
        raise Conflict(f"slug: {text}", code="slug_taken", errors=[FieldError("slug", text)])

    async def _added(self, action: str, row: T) -> T:
        self._session.add(row)
        await self._session.flush()
        await self._session.refresh(row)
        await self._trace(action, row, None, _audited(row))
        return row

    async def _changed(self, action: str, row: T, before: dict[str, Any]) -> T:
        if _audited(row) != before:
            await self._session.flush()
            await self._session.refresh(row)
            await self._trace(action, row, before, _audited(row))
            await emit(self._session, TermsChanged(), tenant_id=row.tenant_id)
        return row

    async def _articles(self, row: T) -> int:
        return (await repository.counts(self._session, type(row), [row.id])).get(row.id, 0)

    async def _gone(self, action: str, row: T, articles: int, after: dict[str, Any] | None = None) -> None:
        await self._session.delete(row)
        await self._session.flush()
        await self._trace(action, row, _audited(row) | {"articles": articles}, after)
        await emit(self._session, TermsChanged(), tenant_id=row.tenant_id)

    async def _trace(self, action: str, row: T, before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
        resource, tenant = (_KINDS[type(row)][0], row.id, row.name), row.tenant_id
        await record(
            self._session, self._actor, action, resource=resource, before=before, after=after, tenant_id=tenant
        )
        signal(self._session, TOPIC, row.id, tenant)
        drop(self._session, *TAXONOMY_ANSWERS.tags)


async def category_choices(session: AsyncSession, tenant_id: UUID) -> Sequence[Category]:
    """Those of a tenant, as a tree."""
    query = repository.fitting(Category, TermFilter(tenant_id))
    return (await session.scalars(query.order_by(Category.path).limit(MOST_CATEGORIES))).all()


async def tag_choices(session: AsyncSession, tenant_id: UUID) -> Sequence[Tag]:
    """The first 500 of a tenant, by name."""
    query = repository.fitting(Tag, TermFilter(tenant_id))
    return (await session.scalars(query.order_by(Tag.name).limit(500))).all()


async def terms_of(session: AsyncSession, articles: Collection[tuple[UUID, UUID]]) -> dict[UUID, Terms]:
    """Under what articles stand, by their ids; one that stands under nothing is left out.

    Args:
        articles: each by its tenant and its id.
    """
    found: dict[UUID, dict[str, list[Term]]] = {}
    for row in await repository.links(session, articles):
        terms = found.setdefault(row["article_id"], {"tag": [], "category": []})
        terms[row["kind"]].append(Term(name=row["name"], slug=row["slug"]))
    return {id_: Terms(tags=terms["tag"], categories=terms["category"]) for id_, terms in found.items()}


def _tag_name(field: str, text: str) -> str:
    """Forms and files have tags between commas, so none is in one."""
    name = " ".join(one_line(field, text, MAX_NAME).split())
    if "," in name:
        raise Invalid.field(field, "must not have a comma in a tag")
    return name


def _not_too_many(field: str, given: Collection[str]) -> None:
    if len(given) > MOST_OF_ARTICLE:
        raise Invalid.field(field, f"must be at most {MOST_OF_ARTICLE}")


def _not_too_deep(parent: Category | None, below: int) -> None:
    if (0 if parent is None else parent.depth + 1) + below >= MOST_LEVELS:
        raise Conflict(f"Categories stand at most {MOST_LEVELS} deep", code="too_deep")


def _path(parent: Category | None, slug: str) -> str:
    return slug if parent is None else f"{parent.path} {slug}"


def _names(terms: Terms) -> dict[str, list[str]]:
    return {"tags": [each.name for each in terms.tags], "categories": [each.name for each in terms.categories]}


def _audited(row: Tag | Category) -> dict[str, Any]:
    found = {"name": row.name, "slug": row.slug}
    return found | {"path": row.path} if isinstance(row, Category) else found
