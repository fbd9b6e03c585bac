"""`teknav role`: what members of a tenant may do there."""

from typing import Any

import rich_click as click

from app.cli.command import Shown, as_json, columns, show
from app.cli.given import fitting
from app.cli.members import Place, tenant_option, with_members

about_option = click.option("--about", help="For whom it is.")
permission_option = click.option("--permission", "permissions", multiple=True, help="One that it gives; name each.")


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
        return [role_read(each, rights[each.id]) | {"members": holders.get(each.id, 0)} for each in roles]

    found = with_members(slug, find)
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
        return role_read(found, (await at.roles.rights([found]))[found.id])

    found = with_members(slug, find)
    show(as_json, found, text="\n".join([found["name"], *(f"  {name}" for name in found["permissions"])]))


@role.command("create")
@click.argument("name")
@tenant_option
@about_option
@permission_option
@as_json
def role_create(name: str, slug: str, about: str | None, permissions: tuple[str, ...], as_json: bool) -> None:
    """Make a role of a tenant's own."""
    from app.modules.roles.schemas import RoleCreate

    new = fitting({"name": name, "about": about or "", "permissions": permissions}, RoleCreate)

    async def create(at: Place) -> dict[str, Any]:
        made = await at.roles.create(at.tenant.id, new.name, new.about, new.permissions)
        return role_read(made, (await at.roles.rights([made]))[made.id])

    made = with_members(slug, create)
    show(as_json, made, text=f"{made['name']} is made.")


@role.command("change")
@click.argument("role_name", metavar="ROLE")
@tenant_option
@click.option("--name", help="What it is called from now on.")
@about_option
@permission_option
@as_json
def role_change(
    role_name: str, slug: str, name: str | None, about: str | None, permissions: tuple[str, ...], as_json: bool
) -> None:
    """Change one of a tenant's own roles, for everybody who has it; permissions take the place of all before."""
    from app.modules.roles.schemas import RoleChange

    given = {"name": name, "about": about, "permissions": permissions or None}
    change = fitting({field: value for field, value in given.items() if value is not None}, RoleChange)

    async def update(at: Place) -> dict[str, Any]:
        found = await at.roles.named(at.tenant.id, role_name)
        changed = await at.roles.update(at.tenant.id, found.id, change)
        return role_read(changed, (await at.roles.rights([changed]))[changed.id])

    changed = with_members(slug, update)
    show(as_json, changed, text=f"{changed['name']} is changed.")


@role.command("delete")
@click.argument("role_name", metavar="ROLE")
@tenant_option
@as_json
def role_delete(role_name: str, slug: str, as_json: bool) -> None:
    """Delete one of a tenant's own roles, which nobody has."""

    async def delete(at: Place) -> str:
        return str((await at.roles.delete(at.tenant.id, (await at.roles.named(at.tenant.id, role_name)).id)).id)

    id_ = with_members(slug, delete)
    show(as_json, {"id": id_, "deleted": True}, text=f"{role_name} is deleted.")


def role_read(role: Any, rights: Any) -> dict[str, Any]:
    return {"id": str(role.id), "name": role.name, "builtIn": role.built_in, "permissions": sorted(rights)}


SHOWN = Shown("People and tenants", (role,), 70)
