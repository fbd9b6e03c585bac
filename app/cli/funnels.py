"""`teknav funnel`: how far readers come, and on which way."""

from collections.abc import Awaitable, Callable
from typing import Any, BinaryIO
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, asked, columns, cursor, limit, pager_of, show, show_page, sort
from app.cli.given import document, json_file
from app.cli.transactions import in_platform, of_tenant, tenant_id

funnel_argument = click.argument("funnel_id", type=click.UUID, metavar="FUNNEL")
day = click.DateTime(formats=["%Y-%m-%d"])


@click.group()
def funnel() -> None:
    """Funnels of tenants; FUNNEL is an id, FILE the JSON that the API takes, - for standard input."""


@funnel.command("list")
@of_tenant
@sort
@limit
@cursor
@as_json
def funnel_list(tenant: str | None, limit: int, cursor: str | None, as_json: bool) -> None:
    """List funnels, newest first."""
    from app.modules.funnels.schemas import FunnelPage, read
    from app.modules.funnels.service import FunnelService

    async def find(process: Any, session: Any, actor: Any) -> Any:
        of = await tenant_id(session, actor, tenant)
        page = await FunnelService(session, actor).search(pager_of(process), of, limit=limit, cursor=cursor)
        items = [read(row) for row in page.items]
        return FunnelPage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    found = in_platform(find)
    rows = [(one.name, " > ".join(step.name for step in one.steps), one.order, one.id) for one in found.items]
    show_page(as_json, found, ("funnel", "steps", "order", "id"), rows)


@funnel.command("show")
@funnel_argument
@click.option("--from", "first", type=day, help="The first day, 2026-01-31, in its time zone; else four weeks ago.")
@click.option("--to", "last", type=day, help="The last day.")
@as_json
def funnel_show(funnel_id: UUID, first: Any, last: Any, as_json: bool) -> None:
    """Tell how far readers came."""
    from app.modules.funnels.service import FunnelService

    days = (first and first.date(), last and last.date())

    async def find(funnels: FunnelService, _: Any) -> Any:
        return await funnels.results(await funnels.get(funnel_id), *days)

    found = asked(FunnelService, find)
    rows = [(one.step, one.name, one.path, one.people) for one in found.steps]
    late = "" if found.up_to_date else "\n\nIt is being told anew."
    show(as_json, to_builtins(found), text=columns(("step", "event", "page", "readers"), rows) + late)


@funnel.command("create")
@json_file
@click.option("--tenant", required=True, help="Whose it is to be, by slug or id.")
@as_json
def funnel_create(file: BinaryIO, tenant: str, as_json: bool) -> None:
    """Make the funnel in FILE: {"name": "Reader to member", "steps": [{"name": "page_view", "path": "/join"}, …]}."""
    from app.modules.funnels.schemas import FunnelCreate, read
    from app.modules.funnels.service import FunnelService

    new = document(file, FunnelCreate)

    async def act(_: Any, session: Any, actor: Any) -> Any:
        return read(await FunnelService(session, actor).create(new, await tenant_id(session, actor, tenant)))

    found = in_platform(act)
    show(as_json, to_builtins(found), text=f"{found.name} is made: {found.id}")


@funnel.command("change")
@funnel_argument
@json_file
@as_json
def funnel_change(funnel_id: UUID, file: BinaryIO, as_json: bool) -> None:
    """Change what FILE names; the last four weeks are told anew."""
    from app.modules.funnels.schemas import FunnelChange

    change = document(file, FunnelChange)
    _funnel(lambda funnels: funnels.update(funnel_id, change), as_json, "is changed")


@funnel.command("delete")
@funnel_argument
@as_json
def funnel_delete(funnel_id: UUID, as_json: bool) -> None:
    """Delete a funnel, with what was told of it."""
    _funnel(lambda funnels: funnels.delete(funnel_id), as_json, "is deleted")


def _funnel(act: Callable[[Any], Awaitable[Any]], as_json: bool, done: str) -> None:
    from app.modules.funnels.schemas import read
    from app.modules.funnels.service import FunnelService

    async def run(funnels: Any, _: Any) -> Any:
        return read(await act(funnels))

    found = asked(FunnelService, run)
    show(as_json, to_builtins(found), text=f"{found.name} {done}.")


SHOWN = Shown("Content and readers", (funnel,), 70)
