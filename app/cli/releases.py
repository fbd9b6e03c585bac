"""`teknav article`, as far as it plans what readers will see, and keeps languages together."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.articles import article_argument, tenant_option, version_option
from app.cli.command import as_json, columns, cursor, limit, pager_of, show, show_page, sort
from app.cli.given import fitting
from app.cli.transactions import in_tenant

language_argument = click.argument("language")


@click.command("releases")
@article_argument
@tenant_option
@sort
@limit
@cursor
@as_json
def releases(article_id: UUID, slug: str, limit: int, cursor: str | None, as_json: bool) -> None:
    """List what is planned for an article, and what became of it."""

    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.modules.releases.schemas import ReleasePage, read
        from app.modules.releases.service import ReleaseFilter, ReleaseService

        service, wanted = ReleaseService(session, actor), ReleaseFilter(article_id=article_id)
        page = (await service.search(pager_of(process), wanted, limit=limit, cursor=cursor)).map(read)
        return ReleasePage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    found = in_tenant(slug, find)
    rows = [(one.action, one.number, f"{one.run_at:%Y-%m-%d %H:%M %Z}", one.status, one.id) for one in found.items]
    show_page(as_json, found, ("what", "version", "when", "status", "id"), rows)


@click.command("schedule")
@article_argument
@click.argument("action", type=click.Choice(["publish", "unpublish"]))
@click.option("--at", required=True, help="When, with its time zone: 2027-01-31T08:00:00Z.")
@version_option
@tenant_option
@as_json
def schedule(article_id: UUID, action: str, at: str, number: int | None, slug: str, as_json: bool) -> None:
    """Show a version to readers, or take the article from them, at a moment that is yet to come."""
    from app.modules.releases.schemas import ReleaseCreate

    wish = fitting({"action": action, "at": at, "version": number}, ReleaseCreate)
    _release(slug, lambda service: service.create(article_id, wish), as_json)


@click.command("unschedule")
@article_argument
@click.argument("release", type=click.UUID)
@tenant_option
@as_json
def unschedule(article_id: UUID, release: UUID, slug: str, as_json: bool) -> None:
    """Take back what was planned; RELEASE is an id."""
    _release(slug, lambda service: service.cancel(release, article_id), as_json)


@click.command("translations")
@article_argument
@tenant_option
@as_json
def translations(article_id: UUID, slug: str, as_json: bool) -> None:
    """List the translations of an article, by language."""

    async def find(_: Any, session: Any, actor: Any) -> Any:
        from app.modules.translations.schemas import TranslationList
        from app.modules.translations.service import TranslationService

        return TranslationList(items=(await TranslationService(session, actor).all(article_id))[1])

    found = in_tenant(slug, find)
    rows = [(one.language, one.title, one.status, "stale" if one.stale else "", one.article_id) for one in found.items]
    show(as_json, to_builtins(found), text=columns(("language", "title", "status", "", "article"), rows))


@click.command("translate")
@article_argument
@language_argument
@tenant_option
@click.option("--title", help="Else that of the original, to be translated in its place, like the text.")
@as_json
def translate(article_id: UUID, language: str, slug: str, title: str | None, as_json: bool) -> None:
    """Write the draft of a translation to LANGUAGE, such as de."""
    from app.modules.translations.schemas import TranslationCreate

    new = fitting({"language": language, "title": title}, TranslationCreate)
    _translation(slug, lambda service: service.create(article_id, new), as_json)


@click.command("confirm")
@article_argument
@language_argument
@tenant_option
@as_json
def confirm(article_id: UUID, language: str, slug: str, as_json: bool) -> None:
    """Say that the translation to LANGUAGE agrees with the original as it is now."""
    _translation(slug, lambda service: service.confirm(article_id, language), as_json)


def _release(slug: str, act: Callable[[Any], Awaitable[Any]], as_json: bool) -> None:
    async def run(_: Any, session: Any, actor: Any) -> Any:
        from app.modules.releases.schemas import read
        from app.modules.releases.service import ReleaseService

        return read(await act(ReleaseService(session, actor)))

    found = in_tenant(slug, run)
    when = f"{found.run_at:%Y-%m-%d %H:%M %Z}"
    show(as_json, to_builtins(found), text=f"To {found.action} at {when}: {found.status}, {found.id}")


def _translation(slug: str, act: Callable[[Any], Awaitable[Any]], as_json: bool) -> None:
    async def run(_: Any, session: Any, actor: Any) -> Any:
        from app.modules.translations.service import TranslationService

        return await act(TranslationService(session, actor))

    found = in_tenant(slug, run)
    state = "is older than its original" if found.stale else "agrees with its original"
    show(as_json, to_builtins(found), text=f"“{found.title}” ({found.language}, {found.article_id}) {state}.")


RELEASES = (releases, schedule, unschedule, translations, translate, confirm)
