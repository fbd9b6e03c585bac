"""`teknav plugins`: what hears of what happens at tenants, and what was delivered."""

from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, cursor, limit, pager_of, show, show_page, sort
from app.cli.transactions import in_platform, of_tenant, tenant_id


@click.group()
def plugins() -> None:
    """Plugins of tenants, and their webhooks. FILE is JSON, - for standard input."""


@plugins.command("list")
@of_tenant
@click.option("--state", type=click.Choice(["enabled", "disabled"]))
@click.option("--search", help="A part of the name or the key.")
@sort
@limit
@cursor
@as_json
def plugins_list(
    tenant: str | None, state: Any, search: str | None, limit: int, cursor: str | None, as_json: bool
) -> None:
    """List plugins, newest first."""

    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.modules.plugins.schemas import PluginPage, read
        from app.modules.plugins.service import PluginFilter, PluginService

        wanted = PluginFilter(search, state, await tenant_id(session, actor, tenant))
        service = PluginService(session, actor)
        page = (await service.search(pager_of(process), wanted, limit=limit, cursor=cursor)).map(read)
        return PluginPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    found = in_platform(find)
    rows = [
        (
            one.manifest.name,
            one.manifest.version,
            "enabled" if one.enabled else "disabled",
            one.failure_streak,
            one.manifest.endpoint,
            one.id,
        )
        for one in found.items
    ]
    show_page(as_json, found, ("plugin", "version", "state", "failures", "endpoint", "id"), rows)


@plugins.command("deliveries")
@of_tenant
@click.option("--plugin", type=click.UUID)
@click.option("--status", type=click.Choice(["queued", "delivered", "failed", "skipped"]))
@sort
@limit
@cursor
@as_json
def plugins_deliveries(
    tenant: str | None, plugin: UUID | None, status: Any, limit: int, cursor: str | None, as_json: bool
) -> None:
    """List deliveries, newest first."""

    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.modules.plugins.schemas import DeliveryPage, read_delivery
        from app.modules.plugins.service import DeliveryFilter, DeliveryService

        wanted = DeliveryFilter(status, None, plugin, await tenant_id(session, actor, tenant))
        service = DeliveryService(session, actor)
        page = (await service.search(pager_of(process), wanted, limit=limit, cursor=cursor)).map(read_delivery)
        return DeliveryPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    found = in_platform(find)
    rows = [
        (one.type, one.status, one.http_code or "-", one.attempts, f"{one.created_at:%Y-%m-%d %H:%M}", one.id)
        for one in found.items
    ]
    show_page(as_json, found, ("event", "status", "answer", "tries", "asked", "id"), rows)


@plugins.command("redeliver")
@click.argument("delivery", type=click.UUID)
@as_json
def plugins_redeliver(delivery: UUID, as_json: bool) -> None:
    """Deliver once more what has ended, under the same id."""

    async def act(_: Any, session: Any, actor: Any) -> Any:
        from app.modules.plugins.schemas import read_delivery
        from app.modules.plugins.service import DeliveryService

        return read_delivery(await DeliveryService(session, actor).redeliver(delivery))

    found = in_platform(act)
    show(as_json, to_builtins(found), text=f"{found.type} is on its way once more.")


@plugins.command("redeliver-failed")
@click.argument("plugin", type=click.UUID)
@click.option("--from", "since", default="", help="Asked for since this day or moment.")
@click.option("--to", "until", default="", help="Asked for until this day, included, or this moment.")
@as_json
def plugins_redeliver_failed(plugin: UUID, since: str, until: str, as_json: bool) -> None:
    """Deliver once more what has failed of a plugin, the oldest 200 at once."""

    async def act(_: Any, session: Any, actor: Any) -> Any:
        from app.core.moments import moment
        from app.modules.plugins.schemas import Redelivered
        from app.modules.plugins.service import DeliveryService

        span = moment("--from", since), moment("--to", until, end=True)
        redelivered, left = await DeliveryService(session, actor).redeliver_failed(plugin, *span)
        return Redelivered(redelivered=redelivered, left=left)

    found = in_platform(act)
    show(as_json, to_builtins(found), text=f"{found.redelivered} on their way once more, {found.left} left.")


SHOWN = Shown("AI, workflows, plugins", (plugins,), 50)
