"""`teknav token` and `teknav client`: the credentials of programs."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import rich_click as click

from app.cli.command import Shown, as_json, cursor, limit, pager_of, show, show_page, sort
from app.cli.transactions import in_platform

tenant_option = click.option("--tenant", "slug", help="The tenant, by slug or id.")
platform_option = click.option("--platform", is_flag=True, help="The platform's own, for /api/owner, instead.")
of_tenant = click.option("--tenant", "slug", required=True, help="The tenant, by slug or id.")
state_option = click.option("--state", type=click.Choice(["active", "expired", "revoked"]))
overlap_option = click.option(
    "--overlap-hours", type=click.IntRange(0, 720), default=24, show_default=True, help="The secret before stays good."
)
scope_option = click.option("--scope", "scopes", multiple=True, required=True, help="What it may do; several times.")
name_option = click.option("--name", default="made by teknav", show_default=True)
expires_option = click.option("--expires-in-days", type=click.IntRange(1, 3650), default=90, show_default=True)
address_option = click.option("--address", "addresses", multiple=True, help="A network it may be used from.")
plan_option = click.option("--plan", type=click.Choice(["standard", "plus", "unlimited"]), default="standard")


@click.group()
def token() -> None:
    """API tokens."""


@click.group()
def client() -> None:
    """API clients, whose id and secret buy JWTs."""


class ScopesInHelp(click.RichCommand):
    """Lists the scopes below the help, and looks them up only then."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from app import registry

        known = registry.permissions()
        of_tenants = [name for name in sorted(known) if known[name].tenant]
        self.epilog = (
            f"Scopes of a tenant's token: {', '.join(of_tenants)}.\n\n"
            f"Scopes of a platform token: {', '.join(sorted(registry.owner_scopes()))}; "
            "with tokens:write also those that it gives to tenants' tokens."
        )
        super().format_help(ctx, formatter)


async def holder_of(session: Any, actor: Any, slug: str | None, platform: bool) -> UUID:
    from app.core.ids import PLATFORM_TENANT
    from app.modules.tenants.service import TenantService

    if platform == bool(slug):
        raise click.UsageError("Give either --tenant or --platform.")
    return (await TenantService(session, actor).find(slug)).id if slug else PLATFORM_TENANT


def service_of(noun: str, session: Any, actor: Any) -> Any:
    from app.modules.tokens.service import ClientService, TokenService

    return (ClientService if noun == "client" else TokenService)(session, actor)


def _list(
    noun: str, slug: str | None, platform: bool, state: str | None, limit: int, cursor: str | None, as_json: bool
) -> None:
    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.modules.tokens.schemas import ClientPage, TokenPage, read, read_client

        holder = await holder_of(session, actor, slug, platform)
        page = await service_of(noun, session, actor).search(
            pager_of(process), holder, state=state, limit=limit, cursor=cursor
        )
        found = page.map(read_client if noun == "client" else read)
        shape: Any = ClientPage if noun == "client" else TokenPage
        return shape(items=found.items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)

    found = in_platform(find)
    rows = [(item.name, f"{item.prefix}…", item.state, ",".join(item.scopes), item.id) for item in found.items]
    show_page(as_json, found, ("name", "begins", "state", "scopes", "id"), rows)


def _create(noun: str, slug: str | None, platform: bool, as_json: bool, **wanted: Any) -> None:
    async def create(_: Any, session: Any, actor: Any) -> dict[str, Any]:
        holder = await holder_of(session, actor, slug, platform)
        made, secret = await service_of(noun, session, actor).create(holder, **wanted)
        return _told(noun, made, secret)

    made = in_platform(create)
    show(as_json, made, text=_once(noun, made))


def _rotate(noun: str, named: UUID, slug: str | None, platform: bool, overlap_hours: int, as_json: bool) -> None:
    async def rotate(_: Any, session: Any, actor: Any) -> dict[str, Any]:
        holder = await holder_of(session, actor, slug, platform)
        overlap = timedelta(hours=overlap_hours)
        return _told(noun, *await service_of(noun, session, actor).rotate(holder, named, overlap=overlap))

    made = in_platform(rotate)
    show(as_json, made, text=_once(noun, made))


def _revoke(noun: str, named: UUID, slug: str | None, platform: bool, as_json: bool) -> None:
    async def revoke(_: Any, session: Any, actor: Any) -> dict[str, Any]:
        holder = await holder_of(session, actor, slug, platform)
        row = await service_of(noun, session, actor).revoke(holder, named)
        return {"id": str(row.id), "name": row.name}

    gone = in_platform(revoke)
    show(as_json, gone, text=f"{gone['name']} is revoked.")


def _told(noun: str, row: Any, secret: str) -> dict[str, Any]:
    return {"id": str(row.id), "clientSecret" if noun == "client" else "token": str(secret), "scopes": row.scopes}


def _once(noun: str, made: dict[str, Any]) -> str:
    shown = f"client id      {made['id']}\nclient secret  {made['clientSecret']}" if noun == "client" else made["token"]
    return f"{shown}\n\nKeep it now: it is not shown again."


@token.command("list")
@tenant_option
@platform_option
@state_option
@sort
@limit
@cursor
@as_json
def token_list(
    slug: str | None, platform: bool, state: str | None, limit: int, cursor: str | None, as_json: bool
) -> None:
    """List a tenant's tokens or the platform's own, newest first, without their secrets."""
    _list("token", slug, platform, state, limit, cursor, as_json)


@token.command("create", cls=ScopesInHelp)
@tenant_option
@platform_option
@scope_option
@name_option
@address_option
@plan_option
@expires_option
@as_json
def token_create(
    slug: str | None,
    platform: bool,
    scopes: tuple[str, ...],
    name: str,
    addresses: tuple[str, ...],
    plan: str,
    expires_in_days: int,
    as_json: bool,
) -> None:
    """Make an API token. It is shown once."""
    wanted = {"name": name, "scopes": scopes, "addresses": addresses, "plan": plan, "expires_in_days": expires_in_days}
    _create("token", slug, platform, as_json, **wanted)


@token.command("rotate")
@click.argument("token", type=click.UUID)
@tenant_option
@platform_option
@overlap_option
@as_json
def token_rotate(token: UUID, slug: str | None, platform: bool, overlap_hours: int, as_json: bool) -> None:
    """Give a token a new secret, which is shown once; the one before stays good for a while."""
    _rotate("token", token, slug, platform, overlap_hours, as_json)


@token.command("revoke")
@click.argument("token", type=click.UUID)
@tenant_option
@platform_option
@as_json
def token_revoke(token: UUID, slug: str | None, platform: bool, as_json: bool) -> None:
    """Refuse a token from now on; it is named by its id, which `teknav token list` shows."""
    _revoke("token", token, slug, platform, as_json)


@client.command("list")
@of_tenant
@state_option
@sort
@limit
@cursor
@as_json
def client_list(slug: str, state: str | None, limit: int, cursor: str | None, as_json: bool) -> None:
    """List a tenant's API clients, newest first, without their secrets."""
    _list("client", slug, False, state, limit, cursor, as_json)


@client.command("create")
@of_tenant
@scope_option
@name_option
@address_option
@plan_option
@expires_option
@as_json
def client_create(
    slug: str,
    scopes: tuple[str, ...],
    name: str,
    addresses: tuple[str, ...],
    plan: str,
    expires_in_days: int,
    as_json: bool,
) -> None:
    """Make an API client. Its secret is shown once."""
    wanted = {"name": name, "scopes": scopes, "addresses": addresses, "plan": plan, "expires_in_days": expires_in_days}
    _create("client", slug, False, as_json, **wanted)


@client.command("rotate")
@click.argument("client", type=click.UUID)
@of_tenant
@overlap_option
@as_json
def client_rotate(client: UUID, slug: str, overlap_hours: int, as_json: bool) -> None:
    """Give a client a new secret, which is shown once; without an overlap its JWTs are refused too."""
    _rotate("client", client, slug, False, overlap_hours, as_json)


@client.command("end-jwts")
@click.argument("client", type=click.UUID)
@of_tenant
@as_json
def client_end_jwts(client: UUID, slug: str, as_json: bool) -> None:
    """Refuse every JWT that a client has got so far."""

    async def end(_: Any, session: Any, actor: Any) -> dict[str, Any]:
        from app.modules.tokens.service import ClientService

        row = await ClientService(session, actor).end_jwts(await holder_of(session, actor, slug, False), client)
        return {"id": str(row.id), "name": row.name, "epoch": row.epoch}

    ended = in_platform(end)
    show(as_json, ended, text=f"The JWTs of {ended['name']} are refused from now on.")


@client.command("revoke")
@click.argument("client", type=click.UUID)
@of_tenant
@as_json
def client_revoke(client: UUID, slug: str, as_json: bool) -> None:
    """Refuse a client and its JWTs from now on; it is named by its id, which `teknav client list` shows."""
    _revoke("client", client, slug, False, as_json)


SHOWN = Shown("People and tenants", (token, client), 80)
