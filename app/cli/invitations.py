"""`teknav invitation`: who is invited into a tenant."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, cursor, limit, pager_of, show, show_page, sort
from app.cli.members import role_option, tenant_option
from app.cli.transactions import in_platform

T = TypeVar("T")
which = click.argument("ids", type=click.UUID, nargs=-1, required=True, metavar="ID...")


class Place(NamedTuple):
    """A tenant, with the services that its commands use, in one transaction."""

    tenant: Any
    invitations: Any
    roles: Any
    pager: Any
    base_url: str


def _with_invitations(slug: str, action: Callable[[Place], Awaitable[T]]) -> T:
    async def act(process: Any, session: Any, actor: Any) -> T:
        from app.modules.invitations.service import InvitationService
        from app.modules.roles.service import RoleService
        from app.modules.tenants.service import TenantService

        tenant = await TenantService(session, actor).find(slug)
        services = InvitationService(session, actor), RoleService(session, actor)
        return await action(Place(tenant, *services, pager_of(process), process.settings.base_url))

    return in_platform(act)


@click.group()
def invitation() -> None:
    """Invitations into tenants."""


@invitation.command("list")
@tenant_option
@click.option("--search", "text", help="A part of the address.")
@click.option("--state", type=click.Choice(["pending", "accepted", "expired", "revoked"]))
@sort
@limit
@cursor
@as_json
def invitation_list(slug: str, text: str | None, state: Any, limit: int, cursor: str | None, as_json: bool) -> None:
    """List a tenant's invitations, newest first, without their links."""

    async def find(at: Place) -> Any:
        from app.modules.invitations.schemas import InvitationPage, read

        page = await at.invitations.search(at.pager, at.tenant.id, text=text, state=state, limit=limit, cursor=cursor)
        names = {role.id: role.name for role in await at.roles.all(at.tenant.id)}
        found = page.map(read)
        return names, InvitationPage(items=found.items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)

    names, found = _with_invitations(slug, find)
    rows = [(one.email, one.state, names[one.role_id], f"{one.expires_at:%F %H:%M}", one.id) for one in found.items]
    show_page(as_json, found, ("e-mail", "state", "role", "good until", "id"), rows)


@invitation.command("create")
@click.argument("email")
@tenant_option
@role_option
@as_json
def invitation_create(email: str, slug: str, role: str, as_json: bool) -> None:
    """Invite somebody for seven days, by mail. The link is printed once."""

    async def create(at: Place) -> dict[str, Any]:
        from app.modules.invitations.schemas import made

        wanted = await at.roles.named(at.tenant.id, role)
        row, secret = await at.invitations.create(at.tenant.id, email, wanted.id)
        told: dict[str, Any] = to_builtins(made(row, f"{at.base_url}/invitations/{secret}"))
        return told

    told = _with_invitations(slug, create)
    show(as_json, told, text=f"{told['email']} is invited ({told['id']}). The link, shown once:\n{told['link']}")


@invitation.command("resend")
@which
@tenant_option
@as_json
def invitation_resend(ids: tuple[Any, ...], slug: str, as_json: bool) -> None:
    """Mail invitations again, all or none; their links are good for seven more days."""

    async def resend(at: Place) -> list[dict[str, Any]]:
        from app.modules.invitations.schemas import read

        return [to_builtins(read(row)) for row in await at.invitations.resend(at.tenant.id, ids)]

    rows = _with_invitations(slug, resend)
    show(as_json, {"items": rows}, text="\n".join(f"A mail to {row['email']} is on its way." for row in rows))


@invitation.command("revoke")
@which
@tenant_option
@as_json
def invitation_revoke(ids: tuple[Any, ...], slug: str, as_json: bool) -> None:
    """Take invitations back, all or none; their links no longer work."""

    async def revoke(at: Place) -> int:
        changed: int = await at.invitations.revoke_many(at.tenant.id, ids)
        return changed

    changed = _with_invitations(slug, revoke)
    show(as_json, {"changed": changed}, text=f"Taken back now: {changed}.")


SHOWN = Shown("People and tenants", (invitation,), 60)
