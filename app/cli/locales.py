"""`teknav locale`: the languages of a tenant's site, and what its interface says in each."""

from collections.abc import Awaitable, Callable
from typing import Any, BinaryIO, TypeVar

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, columns, show
from app.cli.given import document, fitting, json_file
from app.cli.transactions import in_tenant

T = TypeVar("T")
tenant_option = click.option("--tenant", required=True, help="Whose they are, by slug or id.")
code_argument = click.argument("code")
enabled_option = click.option("--enabled/--disabled", default=None, help="Whether readers are offered it.")
place_option = click.option("--place", type=click.IntRange(0, 10_000), help="The smallest stands first.")


def _act(tenant: str, act: Callable[[Any], Awaitable[T]]) -> T:
    """Do `act(service)` with the languages of this tenant."""

    async def run(_: Any, session: Any, actor: Any) -> T:
        from app.core.database import scope_of
        from app.modules.locales.service import LocaleService

        return await act(LocaleService(session, actor, scope_of(session).tenant_id))

    return in_tenant(tenant, run)


def _told(found: Any) -> str:
    lacks = f"{found.missing:,} texts are missing" if found.missing else "complete"
    return f"{found.name} ({found.code}): {found.texts:,} texts, {lacks}."


@click.group()
def locale() -> None:
    """Languages of a tenant's site; CODE is a tag such as de or pt-BR, FILE JSON, - for standard input."""


@locale.command("list")
@tenant_option
@as_json
def locale_list(tenant: str, as_json: bool) -> None:
    """List languages in their places, with how complete each is."""
    items = _act(tenant, lambda service: service.all())
    rows = [
        (one.code, one.name, "default" if one.default else "" if one.enabled else "disabled", one.texts, one.missing)
        for one in items
    ]
    text = columns(("code", "name", "", "texts", "missing"), rows)
    show(as_json, {"items": to_builtins(items)}, text=text)


@locale.command("create")
@code_argument
@click.argument("name")
@tenant_option
@enabled_option
@place_option
@as_json
def locale_create(code: str, name: str, tenant: str, enabled: bool | None, place: int | None, as_json: bool) -> None:
    """Make a language; the first one is the default."""
    from app.modules.locales.schemas import LocaleCreate

    given = {"code": code, "name": name, "enabled": enabled is not False, "place": place}
    new = fitting(given, LocaleCreate)
    found = _act(tenant, lambda service: service.create(new))
    show(as_json, to_builtins(found), text=_told(found))


@locale.command("change")
@code_argument
@tenant_option
@click.option("--name", help="What its readers call it.")
@enabled_option
@place_option
@click.option("--default", is_flag=True, help="Others fall back on it from now on; it needs every text.")
@as_json
def locale_change(
    code: str, tenant: str, name: str | None, enabled: bool | None, place: int | None, default: bool, as_json: bool
) -> None:
    """Change a language, or make it the default."""
    from app.modules.locales.schemas import LocaleChange

    asked = {"name": name, "enabled": enabled, "place": place, "default": default or None}
    change = fitting({key: value for key, value in asked.items() if value is not None}, LocaleChange)
    found = _act(tenant, lambda service: service.change(code, change))
    show(as_json, to_builtins(found), text=_told(found))


@locale.command("delete")
@code_argument
@tenant_option
@as_json
def locale_delete(code: str, tenant: str, as_json: bool) -> None:
    """Delete a language with its texts; articles in it stay."""
    _act(tenant, lambda service: service.delete(code))
    show(as_json, {"code": code}, text=f"{code} is deleted.")


@locale.command("export")
@code_argument
@tenant_option
@click.option("--fallback", is_flag=True, help="With the default language's texts where it has none.")
def locale_export(code: str, tenant: str, fallback: bool) -> None:
    """Print a language's texts as JSON, as `import` takes them."""
    from msgspec import json

    found = _act(tenant, lambda service: service.bundle(code, fallback=fallback))
    click.echo(json.format(json.encode(found.texts), indent=2).decode())


@locale.command("import")
@code_argument
@json_file
@tenant_option
@as_json
def locale_import(code: str, file: BinaryIO, tenant: str, as_json: bool) -> None:
    """Write the texts of FILE into a language, all or none: {"menu.home": "Home", "menu.old": null} deletes one."""
    from app.modules.locales.schemas import Texts

    texts: Any = document(file, Texts)
    found = _act(tenant, lambda service: service.write(code, texts))
    told = f"Written: {found.written:,}, deleted: {found.deleted:,}. {_told(found.locale)}"
    show(as_json, to_builtins(found), text=told)


SHOWN = Shown("Content and readers", (locale,), 25)
