"""`teknav workspace`: the parts of a tenant in which its people work."""

from collections.abc import Awaitable, Callable
from typing import Any

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Failed, Shown, as_json, cursor, limit, pager_of, show, show_page, sort
from app.cli.transactions import in_platform

tenant_option = click.option("--tenant", "slug", required=True, help="The tenant, by slug or id.")
named = click.argument("workspace")
Of = Callable[[Any, Any, Any], Awaitable[Any]]


@click.group()
def workspace() -> None:
    """Workspaces of tenants; WORKSPACE is a name."""


@workspace.command("list")
@tenant_option
@sort
@limit
@cursor
@as_json
def workspace_list(slug: str, limit: int, cursor: str | None, as_json: bool) -> None:
    """List a tenant's workspaces, newest first."""

    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.modules.tenants.schemas import WorkspacePage, read_workspace
        from app.modules.tenants.service import TenantService

        tenants = TenantService(session, actor)
        of = (await tenants.find(slug)).id
        page = (await tenants.workspaces(pager_of(process), of, limit=limit, cursor=cursor)).map(read_workspace)
        return WorkspacePage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    found = in_platform(find)
    show_page(as_json, found, ("workspace", "slug", "id"), [(one.name, one.slug, one.id) for one in found.items])


@workspace.command("create")
@click.argument("name")
@tenant_option
@as_json
def workspace_create(name: str, slug: str, as_json: bool) -> None:
    """Make a workspace."""
    found = _act(slug, None, lambda tenants, tenant, _: tenants.create_workspace(tenant, name))
    show(as_json, found, text=f"{found['name']} is made: {found['id']}")


@workspace.command("rename")
@named
@click.argument("name")
@tenant_option
@as_json
def workspace_rename(workspace: str, name: str, slug: str, as_json: bool) -> None:
    """Give a workspace another name. Its slug stays, since addresses use it."""
    found = _act(slug, workspace, lambda tenants, tenant, of: tenants.update_workspace(tenant, of, name))
    show(as_json, found, text=f"It is called {found['name']} now.")


@workspace.command("delete")
@named
@tenant_option
@as_json
def workspace_delete(workspace: str, slug: str, as_json: bool) -> None:
    """Delete a workspace in which nothing is left."""

    async def delete(tenants: Any, tenant: Any, of: Any) -> Any:
        row = await tenants.workspace(tenant, of)
        await tenants.delete_workspace(tenant, of)
        return row

    found = _act(slug, workspace, delete)
    show(as_json, {"id": found["id"], "deleted": True}, text=f"{found['name']} is deleted.")


def _act(slug: str, name: str | None, act: Of) -> dict[str, Any]:
    """Do `act(tenants, tenant, workspace)`, both by their ids, and tell of the workspace as the API does."""

    async def run(_: Any, session: Any, actor: Any) -> dict[str, Any]:
        from app.modules.tenants.schemas import read_workspace
        from app.modules.tenants.service import TenantService

        tenants = TenantService(session, actor)
        tenant = await tenants.find(slug)
        of = None if name is None else await workspace_id(tenants, tenant, name)
        found: dict[str, Any] = to_builtins(read_workspace(await act(tenants, tenant.id, of)))
        return found

    return in_platform(run)


async def workspace_id(tenants: Any, tenant: Any, name: str) -> Any:
    """
    Raises:
        Failed: no workspace of the tenant has this name.
    """
    names = await tenants.workspace_names(tenant.id)
    found = next((id_ for id_, known in names.items() if known.lower() == name.lower()), None)
    if found is None:
        raise Failed(f"WORKSPACE: {tenant.name} has none called {name}: {', '.join(sorted(names.values()))}")
    return found


SHOWN = Shown("People and tenants", (workspace,), 40)
