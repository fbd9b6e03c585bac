"""`teknav token`: the credentials of programs."""

from typing import Any
from uuid import UUID

import rich_click as click

from app.cli.command import as_json, cursor, in_process, limit, pager_of, show, show_page

tenant_option = click.option("--tenant", "slug", help="The tenant, by slug or id.")
platform_option = click.option("--platform", is_flag=True, help="The platform's own, for /api/owner, instead.")


@click.group()
def token() -> None:
    """API tokens."""


class ScopesInHelp(click.RichCommand):
    """Lists the scopes below the help, and looks them up only then."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from app import registry

        known = registry.permissions()
        of_tenants = [name for name in sorted(known) if known[name].tenant]
        self.epilog = (
            f"Scopes of a tenant's token: {', '.join(of_tenants)}.\n\n"
            f"Scopes of a platform token: {', '.join(sorted(registry.owner_scopes()))}; "
            "to make tenants' tokens it also needs the scopes that it gives them."
        )
        super().format_help(ctx, formatter)


@token.command("list")
@tenant_option
@platform_option
@limit
@cursor
@as_json
def token_list(slug: str | None, platform: bool, limit: int, cursor: str | None, as_json: bool) -> None:
    """List a tenant's tokens or the platform's own, newest first, without their secrets."""

    async def find(process: Any, actor: Any) -> Any:
        from app.modules.tokens.schemas import TokenPage, read
        from app.modules.tokens.service import TokenService

        async with process.database.transaction(actor.scope) as session:
            holder = await _holder(session, actor, slug, platform)
            page = await TokenService(session, actor).search(pager_of(process), holder, limit=limit, cursor=cursor)
            states = [(row.state, row) for row in page.items]
            items = [read(row) for row in page.items]
            return states, TokenPage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    states, found = in_process(find)
    rows = [(row.name, f"{row.prefix}…", state, ",".join(row.scopes), row.id) for state, row in states]
    show_page(as_json, found, ("name", "begins", "state", "scopes", "id"), rows)


@token.command("revoke")
@click.argument("token", type=click.UUID)
@tenant_option
@platform_option
@as_json
def token_revoke(token: UUID, slug: str | None, platform: bool, as_json: bool) -> None:
    """Refuse a token from now on; it is named by its id, which `teknav token list` shows."""

    async def revoke(process: Any, actor: Any) -> dict[str, Any]:
        from app.modules.tokens.service import TokenService

        async with process.database.transaction(actor.scope) as session:
            holder = await _holder(session, actor, slug, platform)
            row = await TokenService(session, actor).revoke(holder, token)
            return {"id": str(row.id), "name": row.name}

    gone = in_process(revoke)
    show(as_json, gone, text=f"{gone['name']} is revoked.")


async def _holder(session: Any, actor: Any, slug: str | None, platform: bool) -> UUID:
    from app.core.ids import PLATFORM_TENANT
    from app.modules.tenants.service import TenantService

    if platform == bool(slug):
        raise click.UsageError("Give either --tenant or --platform.")
    return (await TenantService(session, actor).find(slug)).id if slug else PLATFORM_TENANT


@token.command("create", cls=ScopesInHelp)
@tenant_option
@platform_option
@click.option("--scope", "scopes", multiple=True, required=True, help="What it may do; give it several times.")
@click.option("--name", default="made by teknav", show_default=True)
@click.option("--expires-in-days", type=click.IntRange(1, 3650), default=90, show_default=True)
@as_json
def token_create(
    slug: str | None, platform: bool, scopes: tuple[str, ...], name: str, expires_in_days: int, as_json: bool
) -> None:
    """Make an API token. It is shown once."""

    async def create(process: Any, actor: Any) -> dict[str, Any]:
        from app.modules.tokens.service import TokenService

        async with process.database.transaction(actor.scope) as session:
            tenant_id = await _holder(session, actor, slug, platform)
            made, secret = await TokenService(session, actor).create(
                tenant_id, name=name, scopes=list(scopes), expires_in_days=expires_in_days
            )
            return {"id": str(made.id), "token": secret, "scopes": made.scopes}

    made = in_process(create)
    show(as_json, made, text=f"{made['token']}\n\nKeep it now: it is not shown again.")
