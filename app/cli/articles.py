"""`teknav article`: what a tenant's readers see, and the versions behind it."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

import rich_click as click

from app.cli.command import Shown, as_json, columns, cursor, limit, pager_of, show, show_page, sort
from app.cli.transactions import in_tenant

T = TypeVar("T")
tenant_option = click.option("--tenant", "slug", required=True, help="The tenant, by slug or id.")
article_argument = click.argument("article_id", type=click.UUID, metavar="ARTICLE")
version_option = click.option("--version", "number", type=click.IntRange(1), help="By number; without it the newest.")


@click.group()
def article() -> None:
    """Articles of a tenant; ARTICLE is an id, FILE JSON, - for standard input."""


def in_articles(slug: str, action: Callable[[Any, Any], Awaitable[T]]) -> T:
    """Do `action(articles, pager)` with that tenant's rights."""

    async def run(process: Any, session: Any, actor: Any) -> T:
        from app.modules.articles.service import ArticleService

        return await action(ArticleService(session, actor), pager_of(process))

    return in_tenant(slug, run)


def act_on(slug: str, act: Callable[[Any], Awaitable[Any]]) -> dict[str, Any]:
    """Do `act(articles)` and tell of the article as the API does."""

    async def run(articles: Any, _: Any) -> dict[str, Any]:
        from msgspec import to_builtins

        from app.modules.articles.schemas import read

        article = await act(articles)
        found: dict[str, Any] = to_builtins(read(article, await articles.filed([article])))
        return found

    return in_articles(slug, run)


@article.command("list")
@tenant_option
@click.option("--search", "text", help="Words, in any form; the best come first.")
@click.option("--status", type=click.Choice(["draft", "review", "published"]))
@click.option("--tag", help="Those with this tag, by slug.")
@click.option("--category", help="Those under this category, by slug.")
@sort
@limit
@cursor
@as_json
def article_list(
    slug: str,
    text: str | None,
    status: str | None,
    tag: str | None,
    category: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """List a tenant's articles, newest first."""

    async def find(articles: Any, pager: Any) -> Any:
        from app.modules.articles.schemas import ArticlePage, ArticleQuery, item

        asked = ArticleQuery(q=text, status=status, tag=tag, category=category)
        page = await articles.search(pager, asked.filter(), limit=limit, cursor=cursor)
        filed = await articles.filed(page.items)
        items = [item(row, filed) for row in page.items]
        return ArticlePage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    found = in_articles(slug, find)
    rows = [(one.title, one.status, one.draft_version, one.published_version, one.id) for one in found.items]
    show_page(as_json, found, ("title", "status", "version", "readers see", "id"), rows)


@article.command("versions")
@article_argument
@tenant_option
@limit
@cursor
@as_json
def article_versions(article_id: UUID, slug: str, limit: int, cursor: str | None, as_json: bool) -> None:
    """List the versions of an article, newest first."""

    async def find(articles: Any, pager: Any) -> Any:
        from app.modules.history.schemas import VersionPage, item

        found = (await articles.versions(pager, article_id, limit=limit, cursor=cursor)).map(item)
        return VersionPage(items=found.items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)

    found = in_articles(slug, find)
    rows = [(one.number, f"{one.created_at:%Y-%m-%d %H:%M}", one.author, one.reason) for one in found.items]
    show_page(as_json, found, ("version", "written", "by", "reason"), rows)


@article.command("show")
@article_argument
@tenant_option
@as_json
def article_show(article_id: UUID, slug: str, as_json: bool) -> None:
    """Tell of one article, with its Markdown."""
    found = act_on(slug, lambda articles: articles.get(article_id))
    lines = [(name, value) for name, value in found.items() if value is not None and name not in ("body", "html")]
    show(as_json, found, text=f"{columns(('field', 'value'), lines)}\n\n{found['body']}")


@article.command("publish")
@article_argument
@tenant_option
@version_option
@as_json
def article_publish(article_id: UUID, slug: str, number: int | None, as_json: bool) -> None:
    """Show a version of an article to readers."""
    found = act_on(slug, lambda articles: articles.publish(article_id, number=number))
    show(as_json, found, text=f"Readers see version {found['publishedVersion']} of “{found['title']}” now.")


@article.command("unpublish")
@article_argument
@tenant_option
@as_json
def article_unpublish(article_id: UUID, slug: str, as_json: bool) -> None:
    """Take an article from readers."""
    found = act_on(slug, lambda articles: articles.unpublish(article_id))
    show(as_json, found, text=f"Readers see “{found['title']}” no more.")


@article.command("restore")
@article_argument
@click.argument("number", type=click.IntRange(1), metavar="VERSION")
@tenant_option
@as_json
def article_restore(article_id: UUID, number: int, slug: str, as_json: bool) -> None:
    """Write an earlier version of an article again, as the newest."""
    found = act_on(slug, lambda articles: articles.restore(article_id, number))
    show(as_json, found, text=f"Version {found['draftVersion']} of “{found['title']}” says what {number} said.")


SHOWN = Shown("Content and readers", (article,), 10)
