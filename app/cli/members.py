"""`teknav member` and `teknav role`: who belongs to a tenant, and what they may do there."""

from typing import Any

import rich_click as click

from app.cli.command import as_json, columns, cursor, in_process, limit, pager_of, show, show_page

tenant_option = click.option("--tenant", "slug", required=True, help="The tenant, by slug or id.")
role_option = click.option("--role", "role", required=True, help="By name, as `teknav role list` shows it.")


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

    async def find(process: Any, actor: Any) -> Any:
        from app.modules.members.schemas import MemberPage, read
        from app.modules.members.service import MemberFilter, MemberService
        from app.modules.roles.service import RoleService
        from app.modules.tenants.service import TenantService

        async with process.database.transaction(actor.scope) as session:
            tenant = await TenantService(session, actor).find(slug)
            wanted, service = MemberFilter(text or None), MemberService(session, actor)
            page = await service.search(pager_of(process), tenant.id, wanted, limit=limit, cursor=cursor)
            names = {role.id: role.name for role in await RoleService(session, actor).all(tenant.id)}
            found = page.map(read)
            return names, MemberPage(items=found.items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)

    names, found = in_process(find)
    rows = [(one.email, one.name, names[one.role_id] if one.role_id else "-", one.id) for one in found.items]
    show_page(as_json, found, ("e-mail", "name", "role", "id"), rows)


@member.command("add")
@click.argument("email")
@tenant_option
@role_option
@as_json
def member_add(email: str, slug: str, role: str, as_json: bool) -> None:
    """Make somebody who has an account a member of a tenant."""

    async def add(process: Any, actor: Any) -> dict[str, Any]:
        from app.modules.members.service import MemberService
        from app.modules.roles.service import RoleService
        from app.modules.tenants.service import TenantService

        async with process.database.transaction(actor.scope) as session:
            tenant = await TenantService(session, actor).find(slug)
            wanted = await RoleService(session, actor).named(tenant.id, role)
            made = await MemberService(session, actor).add(tenant.id, email, wanted.id)
            return {"id": str(made.id), "email": made.email, "role": wanted.name, "tenant": tenant.slug}

    made = in_process(add)
    show(as_json, made, text=f"{made['email']} is {made['role']} of {made['tenant']} now.")


@member.command("role")
@click.argument("email")
@tenant_option
@role_option
@as_json
def member_role(email: str, slug: str, role: str, as_json: bool) -> None:
    """Give a member another role in the whole tenant."""

    async def change(process: Any, actor: Any) -> dict[str, Any]:
        from app.modules.members.service import MemberService
        from app.modules.roles.service import RoleService
        from app.modules.tenants.service import TenantService

        async with process.database.transaction(actor.scope) as session:
            tenant = await TenantService(session, actor).find(slug)
            wanted, service = await RoleService(session, actor).named(tenant.id, role), MemberService(session, actor)
            found = await service.find(tenant.id, email)
            await service.set_role(tenant.id, found.id, wanted.id)
            return {"id": str(found.id), "email": found.email, "role": wanted.name, "tenant": tenant.slug}

    made = in_process(change)
    show(as_json, made, text=f"{made['email']} is {made['role']} of {made['tenant']} now.")


@member.command("remove")
@click.argument("email")
@tenant_option
@as_json
def member_remove(email: str, slug: str, as_json: bool) -> None:
    """Take a member out of a tenant. The account stays."""

    async def remove(process: Any, actor: Any) -> dict[str, Any]:
        from app.modules.members.service import MemberService
        from app.modules.tenants.service import TenantService

        async with process.database.transaction(actor.scope) as session:
            tenant, service = await TenantService(session, actor).find(slug), MemberService(session, actor)
            found = await service.find(tenant.id, email)
            await service.remove(tenant.id, [found.id])
            return {"id": str(found.id), "email": found.email, "tenant": tenant.slug}

    gone = in_process(remove)
    show(as_json, gone, text=f"{gone['email']} is no member of {gone['tenant']} any more.")


@click.group()
def role() -> None:
    """Roles of tenants' members."""


@role.command("list")
@tenant_option
@as_json
def role_list(slug: str, as_json: bool) -> None:
    """List a tenant's roles: built-in ones first, then its own."""

    async def find(process: Any, actor: Any) -> list[dict[str, Any]]:
        from app.modules.roles.service import RoleService
        from app.modules.tenants.service import TenantService

        async with process.database.transaction(actor.scope) as session:
            tenant, service = await TenantService(session, actor).find(slug), RoleService(session, actor)
            roles = await service.all(tenant.id)
            rights, holders = await service.rights(roles), await service.holders(tenant.id)
            return [_told(each, rights[each.id]) | {"members": holders.get(each.id, 0)} for each in roles]

    found = in_process(find)
    rows = [(each["name"], each["builtIn"] or "-", len(each["permissions"]), each["members"]) for each in found]
    text = columns(("name", "built in", "permissions", "members"), rows)
    show(as_json, {"items": found}, text=text)


@role.command("show")
@click.argument("name")
@tenant_option
@as_json
def role_show(name: str, slug: str, as_json: bool) -> None:
    """Tell what a role may do."""

    async def find(process: Any, actor: Any) -> dict[str, Any]:
        from app.modules.roles.service import RoleService
        from app.modules.tenants.service import TenantService

        async with process.database.transaction(actor.scope) as session:
            tenant, service = await TenantService(session, actor).find(slug), RoleService(session, actor)
            found = await service.named(tenant.id, name)
            return _told(found, (await service.rights([found]))[found.id])

    found = in_process(find)
    show(as_json, found, text="\n".join([found["name"], *(f"  {name}" for name in found["permissions"])]))


def _told(role: Any, rights: Any) -> dict[str, Any]:
    return {"id": str(role.id), "name": role.name, "builtIn": role.built_in, "permissions": sorted(rights)}
