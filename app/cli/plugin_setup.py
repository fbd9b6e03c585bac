"""`teknav plugins`, as far as it installs them, sets them up and switches them."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, BinaryIO
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import as_json, asked, columns, show
from app.cli.given import document, json_file
from app.cli.transactions import in_platform, in_tenant

plugin_argument = click.argument("plugin", type=click.UUID)
ONCE = "Calls are signed with this secret. Keep it now: it is not shown again."


@click.command("show")
@plugin_argument
@as_json
def show_(plugin: UUID, as_json: bool) -> None:
    """Show one plugin and how it is set up, without its secrets."""
    _plugin(lambda plugins: plugins.get(plugin), as_json)


@click.command("install")
@json_file
@click.option("--tenant", "slug", required=True, help="Whose it is to be, by slug or id.")
@as_json
def install(file: BinaryIO, slug: str, as_json: bool) -> None:
    """Install what FILE says: {"manifest": …, "values": …}, as the API takes it."""
    from app.modules.access.service import record_read
    from app.modules.plugins.schemas import MADE_SEEN, PluginInstall, made
    from app.modules.plugins.service import PluginService

    new = document(file, PluginInstall)

    async def act(_: Any, session: Any, actor: Any) -> Any:
        found = made(*await PluginService(session, actor).install(new))
        await record_read(session, actor, MADE_SEEN, resource_id=found.id)
        return found

    _show_secret(in_tenant(slug, act), as_json)


@click.command("configure")
@plugin_argument
@json_file
@as_json
def configure(plugin: UUID, file: BinaryIO, as_json: bool) -> None:
    """Set what FILE names: {"values": {"channel": "news"}}; null takes a value away, and other settings stay."""
    from app.modules.plugins.schemas import PluginSetup

    setup = document(file, PluginSetup)
    _plugin(lambda plugins: plugins.configure(plugin, setup.values), as_json)


@click.command("upgrade")
@plugin_argument
@json_file
@as_json
def upgrade(plugin: UUID, file: BinaryIO, as_json: bool) -> None:
    """Give it the manifest in FILE, which has the same key; settings that it does not know any more are forgotten."""
    from app.modules.plugins.schemas import Manifest

    manifest = document(file, Manifest)
    _plugin(lambda plugins: plugins.upgrade(plugin, manifest), as_json)


@click.command("enable")
@plugin_argument
@as_json
def enable(plugin: UUID, as_json: bool) -> None:
    """Let it hear of what happens from now on."""
    _plugin(lambda plugins: plugins.enable(plugin), as_json)


@click.command("disable")
@plugin_argument
@as_json
def disable(plugin: UUID, as_json: bool) -> None:
    """Deliver nothing more to it; what waits is skipped."""
    _plugin(lambda plugins: plugins.disable(plugin), as_json)


@click.command("remove")
@plugin_argument
@as_json
def remove(plugin: UUID, as_json: bool) -> None:
    """Remove it with its settings and secrets; what was delivered stays to be seen."""
    from app.modules.plugins.service import PluginService

    row = asked(PluginService, lambda plugins, _: plugins.remove(plugin))
    show(as_json, {"id": str(row.id), "removed": True}, text=f"{row.name} is removed.")


@click.command("rotate")
@plugin_argument
@click.option("--overlap-hours", type=click.IntRange(0, 720), default=24, show_default=True)
@as_json
def rotate(plugin: UUID, overlap_hours: int, as_json: bool) -> None:
    """Make a new signing secret; for the hours of the overlap, calls are signed with the one before too."""
    from app.modules.access.service import record_read
    from app.modules.plugins.schemas import MADE_SEEN, made
    from app.modules.plugins.service import PluginService

    async def act(_: Any, session: Any, actor: Any) -> Any:
        row, secret = await PluginService(session, actor).rotate(plugin, timedelta(hours=overlap_hours))
        await record_read(session, actor, MADE_SEEN, resource_id=plugin, tenant_id=row[0].tenant_id)
        return made(row, secret)

    _show_secret(in_platform(act), as_json)


@click.command("test")
@plugin_argument
@as_json
def test(plugin: UUID, as_json: bool) -> None:
    """Send it a message that tells of nothing, also where it is disabled."""
    from app.modules.plugins.schemas import read_delivery
    from app.modules.plugins.service import PluginService

    row = asked(PluginService, lambda plugins, _: plugins.test(plugin))
    show(as_json, to_builtins(read_delivery(row)), text=f"The delivery {row.id} is on its way.")


def _plugin(act: Callable[[Any], Awaitable[Any]], as_json: bool) -> None:
    """Do something with one plugin, and print how it is then."""
    from app.modules.plugins.schemas import read
    from app.modules.plugins.service import PluginService

    async def run(plugins: Any, _: Any) -> Any:
        return read(await act(plugins))

    found = asked(PluginService, run)
    state = "enabled" if found.enabled else f"disabled: {found.disabled_reason}"
    shown = found.values | dict.fromkeys(found.secrets_set, "(a secret)")
    rows = [(name, shown.get(name, "-"), one.title or one.type) for name, one in found.manifest.schema.items()]
    head = f"{found.manifest.name} {found.manifest.version} is {state}."
    table = f"\n\n{columns(('setting', 'value', 'what'), rows)}" if rows else ""
    show(as_json, to_builtins(found), text=head + table)


def _show_secret(found: Any, as_json: bool) -> None:
    text = f"{found.manifest.name} ({found.id})\n\n{found.signing_secret}\n\n{ONCE}"
    show(as_json, to_builtins(found), text=text)


SETUP = (show_, install, configure, upgrade, enable, disable, remove, rotate, test)
