"""`teknav token change` and `teknav client change`."""

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import as_json, show
from app.cli.given import fitting
from app.cli.tokens import holder_of, of_tenant, platform_option, service_of, tenant_option
from app.cli.transactions import in_platform

F = TypeVar("F", bound=Callable[..., Any])
OPTIONS = (
    click.option("--name", help="What it is called from now on."),
    click.option("--scope", "scopes", multiple=True, help="What it may do, in place of all before; several times."),
    click.option("--address", "addresses", multiple=True, help="A network it may be used from, in place of all."),
    click.option("--plan", type=click.Choice(["standard", "plus", "unlimited"])),
    click.option("--expires-in-days", "expiresInDays", type=click.IntRange(1, 3650), help="From now."),
)


def changes(command: F) -> F:
    """The options that say what to change; what is not named stays."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.command("change")
@click.argument("token", type=click.UUID)
@tenant_option
@platform_option
@changes
@as_json
def token_change(token: UUID, slug: str | None, platform: bool, as_json: bool, **given: Any) -> None:
    """Change what a token may do, or how it is called; its secret stays."""
    _change("token", token, slug, platform, as_json, given)


@click.command("change")
@click.argument("client", type=click.UUID)
@of_tenant
@changes
@as_json
def client_change(client: UUID, slug: str, as_json: bool, **given: Any) -> None:
    """Change what a client may do, or how it is called; its secret stays."""
    _change("client", client, slug, False, as_json, given)


def _change(noun: str, named: UUID, slug: str | None, platform: bool, as_json: bool, given: dict[str, Any]) -> None:
    from app.modules.tokens.schemas import CredentialChange

    wanted = fitting({field: value for field, value in given.items() if value}, CredentialChange)

    async def act(_: Any, session: Any, actor: Any) -> Any:
        from app.modules.tokens.schemas import read, read_client

        holder = await holder_of(session, actor, slug, platform)
        row = await service_of(noun, session, actor).update(holder, named, wanted)
        return (read_client if noun == "client" else read)(row)

    found = in_platform(act)
    show(as_json, to_builtins(found), text=f"{found.name} is changed.")
