"""`teknav member` and `teknav role`: who belongs to a tenant, and what they may do there."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import rich_click as click

from app.cli.command import as_json, columns, cursor, in_process, limit, pager_of, show, show_page

T = TypeVar("T")
tenant_option = click.option("--tenant", "slug", required=True, help="The tenant, by slug or id.")
role_option = click.option("--role", "role", required=True, help="By name, as `teknav role list` shows it.")


class Place(NamedTuple):
    """A tenant, with the services that its commands use, in one transaction."""

    tenant: Any
    members: Any
    roles: Any
    pager: Any


def _in_tenant(slug: str, action: Callable[[Place], Awaitable[T]]) -> T:
    async def run(process: Any, actor: Any) -> T:
        from app.modules.members.service import MemberService
        from app.modules.roles.service import RoleService
        from app.modules.tenants.service import TenantService

        async with process.database.transaction(actor.scope) as session:
            tenant = await TenantService(session, actor).find(slug)
            members, roles = MemberService(session, actor), RoleService(session, actor)
            return await action(Place(tenant, members, roles, pager_of(process)))

    return in_process(run)


@click.group()
def member() -> None:
    """Members of tenants."""


@member.command("list")
@tenant_option
@click.option("--search", "text", help="A part of name or e-mail.")
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

    names, found = _in_tenant(slug, find)
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

    made = _in_tenant(slug, add)
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

    made = _in_tenant(slug, change)
    text = "\n".join(f"{each['email']} is {each['role']} of {each['tenant']} now." for each in made)
    show(as_json, made[0] if len(made) == 1 else {"items": made}, text=text)


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

    gone = _in_tenant(slug, remove)
    show(as_json, gone, text=f"{gone['email']} is no member of {gone['tenant']} any more.")


@click.group()
def role() -> None:
    """Roles of tenants' members."""


@role.command("list")
@tenant_option
@as_json
def role_list(slug: str, as_json: bool) -> None:
    """List a tenant's roles: built-in ones first, then its own."""

    async def find(at: Place) -> list[dict[str, Any]]:
        roles = await at.roles.all(at.tenant.id)
        rights, holders = await at.roles.rights(roles), await at.roles.holders(at.tenant.id)
        return [_told(each, rights[each.id]) | {"members": holders.get(each.id, 0)} for each in roles]

    found = _in_tenant(slug, find)
    rows = [(each["name"], each["builtIn"] or "-", len(each["permissions"]), each["members"]) for each in found]
    text = columns(("name", "built in", "permissions", "members"), rows)
    show(as_json, {"items": found}, text=text)


@role.command("show")
@click.argument("name")
@tenant_option
@as_json
def role_show(name: str, slug: str, as_json: bool) -> None:
    """Tell what a role may do."""

    async def find(at: Place) -> dict[str, Any]:
        found = await at.roles.named(at.tenant.id, name)
        return _told(found, (await at.roles.rights([found]))[found.id])

    found = _in_tenant(slug, find)
    show(as_json, found, text="\n".join([found["name"], *(f"  {name}" for name in found["permissions"])]))


def _told(role: Any, rights: Any) -> dict[str, Any]:
    return {"id": str(role.id), "name": role.name, "builtIn": role.built_in, "permissions": sorted(rights)}
