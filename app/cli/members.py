"""`teknav member`: who belongs to a tenant, and with which roles."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import rich_click as click

from app.cli.command import Shown, as_json, cursor, limit, pager_of, show, show_page, sort
from app.cli.transactions import in_platform
from app.cli.workspaces import workspace_id

T = TypeVar("T")
tenant_option = click.option("--tenant", "slug", required=True, help="The tenant, by slug or id.")
role_option = click.option("--role", "role", required=True, help="By name, as `teknav role list` shows it.")


class Place(NamedTuple):
    """A tenant, with the services that its commands use, in one transaction."""

    tenant: Any
    tenants: Any
    members: Any
    roles: Any
    pager: Any


def with_members(slug: str, action: Callable[[Place], Awaitable[T]]) -> T:
    """Do `action(place)` with the platform's rights."""

    async def act(process: Any, session: Any, actor: Any) -> T:
        from app.modules.members.service import MemberService
        from app.modules.roles.service import RoleService
        from app.modules.tenants.service import TenantService

        tenants = TenantService(session, actor)
        members, roles = MemberService(session, actor), RoleService(session, actor)
        return await action(Place(await tenants.find(slug), tenants, members, roles, pager_of(process)))

    return in_platform(act)


@click.group()
def member() -> None:
    """Members of tenants."""


@member.command("list")
@tenant_option
@click.option("--search", "text", help="A part of name or e-mail.")
@sort
@limit
@cursor
@as_json
def member_list(slug: str, text: str | None, limit: int, cursor: str | None, as_json: bool) -> None:
    """List a tenant's members, newest first."""

    async def find(at: Place) -> Any:
        from app.modules.members.schemas import MemberPage, read
        from app.modules.members.service import MemberFilter

        page = await at.members.search(at.pager, at.tenant.id, MemberFilter(text), limit=limit, cursor=cursor)
        names = {role.id: role.name for role in await at.roles.all(at.tenant.id)}
        found = page.map(read)
        return names, MemberPage(items=found.items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)

    names, found = with_members(slug, find)
    rows = [(one.email, one.name, names[one.role_id] if one.role_id else "-", one.id) for one in found.items]
    show_page(as_json, found, ("e-mail", "name", "role", "id"), rows)


@member.command("add")
@click.argument("email")
@tenant_option
@role_option
@as_json
def member_add(email: str, slug: str, role: str, as_json: bool) -> None:
    """Make somebody who has an account a member of a tenant."""

    async def add(at: Place) -> dict[str, Any]:
        wanted = await at.roles.named(at.tenant.id, role)
        made = await at.members.add(at.tenant.id, email, wanted.id)
        return {"id": str(made.id), "email": made.email, "role": wanted.name, "tenant": at.tenant.slug}

    made = with_members(slug, add)
    show(as_json, made, text=f"{made['email']} is {made['role']} of {made['tenant']} now.")


@member.command("role")
@click.argument("emails", metavar="EMAIL...", nargs=-1, required=True)
@tenant_option
@role_option
@as_json
def member_role(emails: tuple[str, ...], slug: str, role: str, as_json: bool) -> None:
    """Give members another role in the whole tenant, all of them or nobody."""

    async def change(at: Place) -> list[dict[str, Any]]:
        wanted = await at.roles.named(at.tenant.id, role)
        found = [await at.members.find(at.tenant.id, email) for email in emails]
        await at.members.set_roles(at.tenant.id, [each.id for each in found], wanted.id)
        told = {"role": wanted.name, "tenant": at.tenant.slug}
        return [{"id": str(each.id), "email": each.email} | told for each in found]

    made = with_members(slug, change)
    text = "\n".join(f"{each['email']} is {each['role']} of {each['tenant']} now." for each in made)
    show(as_json, made[0] if len(made) == 1 else {"items": made}, text=text)


@member.command("place")
@click.argument("email")
@click.argument("workspace")
@tenant_option
@click.option("--role", "names", multiple=True, help="By name; more than one may be named, none takes them out of it.")
@as_json
def member_place(email: str, workspace: str, slug: str, names: tuple[str, ...], as_json: bool) -> None:
    """Give a member roles in WORKSPACE, by its name, in place of those before."""

    async def place(at: Place) -> dict[str, Any]:
        found = await at.members.find(at.tenant.id, email)
        of = await workspace_id(at.tenants, at.tenant, workspace)
        wanted = [await at.roles.named(at.tenant.id, name) for name in names]
        await at.members.set_place(at.tenant.id, found.id, of, [each.id for each in wanted])
        roles = [each.name for each in wanted]
        return {"id": str(found.id), "email": found.email, "workspaceId": str(of), "roles": roles}

    made = with_members(slug, place)
    show(as_json, made, text=f"{made['email']} in {workspace}: {', '.join(made['roles']) or 'nothing'}.")


@member.command("remove")
@click.argument("email")
@tenant_option
@as_json
def member_remove(email: str, slug: str, as_json: bool) -> None:
    """Take a member out of a tenant. The account stays."""

    async def remove(at: Place) -> dict[str, Any]:
        found = await at.members.find(at.tenant.id, email)
        await at.members.remove(at.tenant.id, [found.id])
        return {"id": str(found.id), "email": found.email, "tenant": at.tenant.slug}

    gone = with_members(slug, remove)
    show(as_json, gone, text=f"{gone['email']} is no member of {gone['tenant']} any more.")


SHOWN = Shown("People and tenants", (member,), 50)
