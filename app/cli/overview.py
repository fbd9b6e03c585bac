"""`teknav overview`: how the platform fares."""

import sys
from typing import Any

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, columns, in_process, show


@click.command()
@as_json
def overview(as_json: bool) -> None:
    """How the platform fares, part by part; what asks most for a person comes first. Exit code 1 unless all is well."""

    async def find(process: Any, actor: Any) -> Any:
        from app import registry
        from app.modules.dashboard.schemas import read
        from app.modules.dashboard.service import Signs

        web = await _web(process)
        async with process.database.transaction(actor.scope) as session:
            return read(await Signs(session, actor, registry.signs(), web).all())

    found = in_process(find)
    rows = [(one.weight, one.part, one.value, one.text) for one in found.items]
    show(as_json, to_builtins(found), text=f"{found.summary}.\n\n{columns(('', 'part', 'now', 'what'), rows)}")
    if not found.well:
        sys.exit(1)


async def _web(process: Any) -> Any:
    """What can be said of the web process from outside it."""
    from app import checks
    from app.core.signs import Sign, Weight

    found = await checks.web(process.parts.egress, process.settings.base_url)
    if found.level == "error":
        return Sign("Web", "away", f"The web process does not answer: {found.message}", Weight.BAD)
    if found.level == "warning":
        return Sign("Web", "other version", f"Web: {found.message}", Weight.WARN)
    return Sign("Web", "up", f"The web process {found.message}", Weight.OK)


SHOWN = Shown("Run TekNav", (overview,), 30)
