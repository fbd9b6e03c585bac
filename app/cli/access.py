"""`teknav owner`, `tenant` and `token`: who may come in."""

import sys
from typing import Any

import rich_click as click

from app.cli.command import Failed, as_json, in_process, settings_of, show


@click.group()
def owner() -> None:
    """The platform's owners."""


@owner.command("create")
@click.option("--email", required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking.")
@as_json
def owner_create(email: str, password_stdin: bool, as_json: bool) -> None:
    """Make an owner who can sign in to the dashboard."""
    password = (
        sys.stdin.readline().rstrip("\n")
        if password_stdin
        else click.prompt("Password", hide_input=True, confirmation_prompt=True)
    )

    async def create(process: Any, actor: Any) -> dict[str, Any]:
        from app.modules.identity.service import IdentityService

        async with process.database.transaction(actor.scope) as session:
            user = await IdentityService(session, actor).create_owner(email, password)
            return {"id": str(user.id), "email": user.email}

    made = in_process(create)
    show(as_json, made, text=f"{made['email']} is an owner now.")


@owner.command("link")
@as_json
def owner_link(as_json: bool) -> None:
    """Print a new link that makes the first owner; there is none once an owner exists."""
    base = settings_of().base_url

    async def issue(process: Any, _: Any) -> str | None:
        from app.core.database import SYSTEM
        from app.modules.identity.service import OwnerLinks

        async with process.database.transaction(SYSTEM) as session:
            secret = await OwnerLinks(session).issue()
            return f"{base}/setup/{secret}" if secret else None

    link = in_process(issue)
    if link is None and not as_json:
        raise Failed("There is an owner already.")
    show(as_json, {"link": link}, text=str(link))


@click.group()
def tenant() -> None:
    """Tenants."""


@tenant.command("create")
@click.argument("name")
@as_json
def tenant_create(name: str, as_json: bool) -> None:
    """Make a tenant, with a first workspace."""

    async def create(process: Any, actor: Any) -> dict[str, Any]:
        from app.modules.tenants.service import TenantService

        async with process.database.transaction(actor.scope) as session:
            made = await TenantService(session, actor).create(name)
            return {"id": str(made.id), "name": made.name, "slug": made.slug}

    made = in_process(create)
    show(as_json, made, text=f"{made['name']} is there, as {made['slug']} ({made['id']}).")


@click.group()
def token() -> None:
    """API tokens."""


@token.command("create")
@click.option("--tenant", "slug", help="The tenant, by slug or id.")
@click.option("--platform", is_flag=True, help="A token for /api/owner instead.")
@click.option("--scope", "scopes", multiple=True, required=True, help="What it may do; give it several times.")
@click.option("--name", default="made by teknav", show_default=True)
@click.option("--expires-in-days", type=click.IntRange(1, 3650), default=90, show_default=True)
@as_json
def token_create(
    slug: str | None, platform: bool, scopes: tuple[str, ...], name: str, expires_in_days: int, as_json: bool
) -> None:
    """Make an API token. It is shown once."""
    if platform == bool(slug):
        raise click.UsageError("Give either --tenant or --platform.")

    async def create(process: Any, actor: Any) -> dict[str, Any]:
        from app.core.ids import PLATFORM_TENANT
        from app.modules.identity.service import TokenService
        from app.modules.tenants.service import TenantService

        async with process.database.transaction(actor.scope) as session:
            tenant_id = (await TenantService(session, actor).find(slug)).id if slug else PLATFORM_TENANT
            made, secret = await TokenService(session, actor).create(
                tenant_id, name=name, scopes=list(scopes), expires_in_days=expires_in_days
            )
            return {"id": str(made.id), "token": secret, "scopes": made.scopes}

    made = in_process(create)
    show(as_json, made, text=f"{made['token']}\n\nKeep it now: it is not shown again.")
