"""`teknav tenant`: the customers."""

from typing import Any

import rich_click as click

from app.cli.command import as_json, cursor, in_process, limit, pager_of, show, show_page


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
    show(as_json, made, text=f"{made['name']} was made, as {made['slug']} ({made['id']}).")


@tenant.command("list")
@limit
@cursor
@as_json
def tenant_list(limit: int, cursor: str | None, as_json: bool) -> None:
    """List tenants, newest first."""

    async def find(process: Any, actor: Any) -> Any:
        from app.modules.tenants.schemas import TenantPage, read
        from app.modules.tenants.service import TenantService

        async with process.database.transaction(actor.scope) as session:
            page = await TenantService(session, actor).search(pager_of(process), limit=limit, cursor=cursor)
            found = page.map(read)
            return TenantPage(items=found.items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)

    found = in_process(find)
    rows = [(one.slug, one.name, one.status, f"{one.created_at:%Y-%m-%d}", one.id) for one in found.items]
    show_page(as_json, found, ("slug", "name", "status", "created", "id"), rows)
