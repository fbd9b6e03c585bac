"""`teknav tenant`: the customers."""

from collections.abc import Awaitable, Callable
from typing import Any

import rich_click as click

from app.cli.command import Shown, as_json, columns, cursor, in_process, limit, pager_of, show, show_page, sort
from app.cli.transactions import in_platform

named = click.argument("tenant")
several = click.argument("tenants", metavar="TENANT...", nargs=-1, required=True)
reason_option = click.option("--reason", help="For people, and the audit log.")


@click.group()
def tenant() -> None:
    """Tenants; TENANT is a slug or an id."""


def _act(name: str, action: Callable[[Any, Any], Awaitable[Any]]) -> dict[str, Any]:
    """Do `action(service, tenant)` and tell of the tenant as the API does."""

    async def run(_: Any, session: Any, actor: Any) -> dict[str, Any]:
        from msgspec import to_builtins

        from app.modules.tenants.schemas import read
        from app.modules.tenants.service import TenantService

        service = TenantService(session, actor)
        found: dict[str, Any] = to_builtins(read(await action(service, await service.find(name))))
        return found

    return in_platform(run)


def _change(tenant: str, **wanted: Any) -> dict[str, Any]:
    async def update(service: Any, row: Any) -> Any:
        from app.modules.tenants.schemas import TenantChange

        return await service.update(row.id, TenantChange(**wanted))

    return _act(tenant, update)


@tenant.command("create")
@click.argument("name")
@as_json
def tenant_create(name: str, as_json: bool) -> None:
    """Make a tenant, with a first workspace."""

    async def create(_: Any, session: Any, actor: Any) -> dict[str, Any]:
        from app.modules.tenants.service import TenantService

        made = await TenantService(session, actor).create(name)
        return {"id": str(made.id), "name": made.name, "slug": made.slug}

    made = in_platform(create)
    show(as_json, made, text=f"{made['name']} was made, as {made['slug']} ({made['id']}).")


@tenant.command("list")
@click.option("--status", type=click.Choice(["active", "suspended", "deleting"]))
@sort
@limit
@cursor
@as_json
def tenant_list(status: str | None, limit: int, cursor: str | None, as_json: bool) -> None:
    """List tenants, newest first."""

    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.modules.tenants.schemas import TenantPage, read
        from app.modules.tenants.service import TenantService

        service = TenantService(session, actor)
        page = await service.search(pager_of(process), status=status, limit=limit, cursor=cursor)
        found = page.map(read)
        return TenantPage(items=found.items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)

    found = in_platform(find)
    rows = [(one.slug, one.name, one.status, f"{one.created_at:%Y-%m-%d}", one.id) for one in found.items]
    show_page(as_json, found, ("slug", "name", "status", "created", "id"), rows)


@tenant.command("show")
@named
@as_json
def tenant_show(tenant: str, as_json: bool) -> None:
    """Tell of one tenant."""

    async def get(_: Any, row: Any) -> Any:
        return row

    found = _act(tenant, get)
    lines = [(name, value) for name, value in found.items() if value is not None]
    show(as_json, found, text=columns(("field", "value"), lines))


@tenant.command("rename")
@named
@click.argument("name")
@as_json
def tenant_rename(tenant: str, name: str, as_json: bool) -> None:
    """Give a tenant another name. Its slug stays, since addresses use it."""
    found = _change(tenant, name=name)
    show(as_json, found, text=f"{found['slug']} is called {found['name']} now.")


@tenant.command("timezone")
@named
@click.argument("zone")
@as_json
def tenant_timezone(tenant: str, zone: str, as_json: bool) -> None:
    """Say where a tenant's site is at home, such as Europe/Berlin: its days are counted anew."""
    found = _change(tenant, timezone=zone)
    show(as_json, found, text=f"The days of {found['name']} are those of {found['timezone']} now.")


@tenant.command("suspend")
@several
@reason_option
@as_json
def tenant_suspend(tenants: tuple[str, ...], reason: str | None, as_json: bool) -> None:
    """Refuse members and programs of tenants, of all or of none, and send nothing for them, until they are resumed."""
    _act_on_all(tenants, lambda service, ids: service.suspend_many(ids, reason), as_json, "is suspended")


@tenant.command("resume")
@several
@as_json
def tenant_resume(tenants: tuple[str, ...], as_json: bool) -> None:
    """Let suspended tenants go on, all or none."""
    _act_on_all(tenants, lambda service, ids: service.resume_many(ids), as_json, "goes on")


def _act_on_all(names: tuple[str, ...], change: Callable[[Any, Any], Awaitable[Any]], as_json: bool, now: str) -> None:
    async def act(_: Any, session: Any, actor: Any) -> list[Any]:
        from app.modules.tenants.schemas import read
        from app.modules.tenants.service import TenantService

        service = TenantService(session, actor)
        ids = [(await service.find(name)).id for name in names]
        await change(service, ids)
        return [read(await service.get(tenant_id)) for tenant_id in ids]

    from msgspec import to_builtins

    found = in_platform(act)
    told = to_builtins(found[0]) if len(found) == 1 else {"items": to_builtins(found)}
    show(as_json, told, text="\n".join(f"{one.name} {now}." for one in found))


@tenant.command("delete")
@named
@reason_option
@as_json
def tenant_delete(tenant: str, reason: str | None, as_json: bool) -> None:
    """Shut a tenant's doors now, and erase all that is its in seven days."""

    async def delete(service: Any, row: Any) -> Any:
        return await service.delete(row.id, reason=reason)

    found = _act(tenant, delete)
    show(
        as_json,
        found,
        text=f"{found['name']} will be erased at {found['eraseAt']}. `teknav tenant undelete` undoes it.",
    )


@tenant.command("undelete")
@named
@as_json
def tenant_undelete(tenant: str, as_json: bool) -> None:
    """Take a deletion back, while its seven days last."""

    async def undelete(service: Any, row: Any) -> Any:
        return await service.undelete(row.id)

    found = _act(tenant, undelete)
    show(as_json, found, text=f"{found['name']} stays, and is {found['status']}.")


@tenant.command("quota")
@named
@click.option("--set", "wanted", multiple=True, metavar="NAME=MOST", help="Set a quota; several times.")
@click.option("--clear", "cleared", multiple=True, metavar="NAME", help="Take a quota away; several times.")
@as_json
def tenant_quota(tenant: str, wanted: tuple[str, ...], cleared: tuple[str, ...], as_json: bool) -> None:
    """Tell what a tenant uses and may use at most, and change it."""

    async def run(process: Any, actor: Any) -> Any:
        from app.modules.tenants.schemas import QuotaList
        from app.modules.tenants.service import QuotaService, TenantService

        changes: dict[str, int | None] = dict.fromkeys(cleared)
        for each in wanted:
            name, _, most = each.partition("=")
            if not most.isdecimal():
                raise click.UsageError(f"{each}: wants the form NAME=MOST, such as articles=1000")
            changes[name] = int(most)
        async with process.database.transaction(actor.scope) as session:
            row = await TenantService(session, actor).find(tenant)
            service = QuotaService(session, actor)
            items = await service.change(row.id, changes) if changes else await service.all(row.id)
            return QuotaList(items=items)

    from msgspec import to_builtins

    found = in_process(run)
    rows = [(one.name, _number(one.used), _number(one.most), one.label) for one in found.items]
    show(as_json, to_builtins(found), text=columns(("name", "used", "most", "label"), rows))


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


SHOWN = Shown("People and tenants", (tenant,), 30)
