"""`teknav tag` and `teknav category`: what articles are sorted under."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, cursor, limit, show, show_page, sort
from app.cli.transactions import asked_of, of_tenant

for_tenant = click.option("--tenant", required=True, help="Whose it is to be, by slug or id.")
search = click.option("--search", "text", help="A part of the name.")
name_option = click.option("--name", help="What it is called from now on.")
slug_option = click.option("--slug", help="Its part of an address.")


def _list(kind: str, tenant: str | None, text: str | None, limit: int, cursor: str | None, as_json: bool) -> None:
    from app.modules.taxonomy import schemas
    from app.modules.taxonomy.service import TaxonomyService

    async def find(taxonomy: TaxonomyService, pager: Any, of: UUID | None) -> Any:
        wanted = schemas.TermFilter(of, text)
        if kind == "tag":
            tags = await taxonomy.tags(pager, wanted, limit=limit, cursor=cursor)
            counts = await taxonomy.counts(tags.items)
            found = [schemas.tag_read(row, counts) for row in tags.items]
            return schemas.TagPage(items=found, next_cursor=tags.next_cursor, prev_cursor=tags.prev_cursor)
        page = await taxonomy.categories(pager, wanted, limit=limit, cursor=cursor)
        counts = await taxonomy.counts(page.items)
        items = [schemas.category_read(row, counts) for row in page.items]
        return schemas.CategoryPage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    found = asked_of(tenant, TaxonomyService, find)
    rows = [("  " * getattr(one, "depth", 0) + one.name, one.slug, one.articles, one.id) for one in found.items]
    show_page(as_json, found, (kind, "slug", "articles", "id"), rows)


def _tag(act: Callable[[Any, Any], Awaitable[Any]], as_json: bool, done: str, tenant: str | None = None) -> None:
    """Do `act(taxonomy, tenant_id)`, and print the tag as it is then."""
    from app.modules.taxonomy.schemas import tag_read
    from app.modules.taxonomy.service import TaxonomyService

    async def run(taxonomy: TaxonomyService, _: Any, of: UUID | None) -> Any:
        row = await act(taxonomy, of)
        return tag_read(row, await taxonomy.counts([row]))

    found = asked_of(tenant, TaxonomyService, run)
    show(as_json, to_builtins(found), text=f"{found.name} {done}.")


def _category(act: Callable[[Any, Any], Awaitable[Any]], as_json: bool, done: str, tenant: str | None = None) -> None:
    """Do `act(taxonomy, tenant_id)`, and print the category as it is then."""
    from app.modules.taxonomy.schemas import category_read
    from app.modules.taxonomy.service import TaxonomyService

    async def run(taxonomy: TaxonomyService, _: Any, of: UUID | None) -> Any:
        row = await act(taxonomy, of)
        return category_read(row, await taxonomy.counts([row]))

    found = asked_of(tenant, TaxonomyService, run)
    show(as_json, to_builtins(found), text=f"{found.name} {done}.")


@click.group()
def tag() -> None:
    """Tags of articles; TAG is an id."""


@tag.command("list")
@of_tenant
@search
@sort
@limit
@cursor
@as_json
def tag_list(tenant: str | None, text: str | None, limit: int, cursor: str | None, as_json: bool) -> None:
    """List tags by name."""
    _list("tag", tenant, text, limit, cursor, as_json)


@tag.command("create")
@click.argument("name")
@for_tenant
@slug_option
@as_json
def tag_create(name: str, tenant: str, slug: str | None, as_json: bool) -> None:
    """Make a tag."""
    from app.modules.taxonomy.schemas import TagCreate

    _tag(lambda taxonomy, of: taxonomy.create_tag(TagCreate(name=name, slug=slug), of), as_json, "is made", tenant)


@tag.command("change")
@click.argument("tag_id", type=click.UUID, metavar="TAG")
@name_option
@slug_option
@as_json
def tag_change(tag_id: UUID, name: str | None, slug: str | None, as_json: bool) -> None:
    """Call a tag otherwise, wherever it stands."""
    from msgspec import UNSET

    from app.modules.taxonomy.schemas import TagChange

    change = TagChange(name=UNSET if name is None else name, slug=UNSET if slug is None else slug)
    _tag(lambda taxonomy, _: taxonomy.change_tag(tag_id, change), as_json, "is changed")


@tag.command("merge")
@click.argument("tag_id", type=click.UUID, metavar="TAG")
@click.argument("into", type=click.UUID, metavar="INTO")
@as_json
def tag_merge(tag_id: UUID, into: UUID, as_json: bool) -> None:
    """Give the articles of TAG the tag INTO instead, and delete TAG."""
    _tag(lambda taxonomy, _: taxonomy.merge_tags(tag_id, into), as_json, "has its articles now")


@tag.command("delete")
@click.argument("tag_id", type=click.UUID, metavar="TAG")
@as_json
def tag_delete(tag_id: UUID, as_json: bool) -> None:
    """Delete a tag; its articles stay, without it."""
    _tag(lambda taxonomy, _: taxonomy.delete_tag(tag_id), as_json, "is deleted")


@click.group()
def category() -> None:
    """Categories of articles, a tree; CATEGORY is an id."""


@category.command("list")
@of_tenant
@search
@sort
@limit
@cursor
@as_json
def category_list(tenant: str | None, text: str | None, limit: int, cursor: str | None, as_json: bool) -> None:
    """List categories, each followed by those under it."""
    _list("category", tenant, text, limit, cursor, as_json)


@category.command("create")
@click.argument("name")
@for_tenant
@slug_option
@click.option("--parent", type=click.UUID, help="That it stands under, by id.")
@as_json
def category_create(name: str, tenant: str, slug: str | None, parent: UUID | None, as_json: bool) -> None:
    """Make a category."""
    from app.modules.taxonomy.schemas import CategoryCreate

    new = CategoryCreate(name=name, slug=slug, parent_id=parent)
    _category(lambda taxonomy, of: taxonomy.create_category(new, of), as_json, "is made", tenant)


@category.command("change")
@click.argument("category_id", type=click.UUID, metavar="CATEGORY")
@name_option
@slug_option
@click.option("--parent", type=click.UUID, help="That it stands under from now on, by id.")
@click.option("--root", is_flag=True, help="It stands under none.")
@as_json
def category_change(
    category_id: UUID, name: str | None, slug: str | None, parent: UUID | None, root: bool, as_json: bool
) -> None:
    """Call a category otherwise, or put it elsewhere in the tree."""
    from msgspec import UNSET

    from app.modules.taxonomy.schemas import CategoryChange

    place = None if root else parent or UNSET
    named = {"name": UNSET if name is None else name, "slug": UNSET if slug is None else slug}
    change = CategoryChange(**named, parent_id=place)
    _category(lambda taxonomy, _: taxonomy.change_category(category_id, change), as_json, "is changed")


@category.command("delete")
@click.argument("category_id", type=click.UUID, metavar="CATEGORY")
@click.option("--move-to", type=click.UUID, help="The category that its articles go to, by id.")
@as_json
def category_delete(category_id: UUID, move_to: UUID | None, as_json: bool) -> None:
    """Delete a category; what stands under it moves up, and its articles stay."""
    _category(lambda taxonomy, _: taxonomy.delete_category(category_id, move_to=move_to), as_json, "is deleted")


SHOWN = Shown("Content and readers", (category, tag), 20)
