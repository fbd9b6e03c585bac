"""`teknav overview`: how the platform fares."""

import sys
from typing import Any

import rich_click as click
from msgspec import to_builtins

from app.cli.command import as_json, columns, show
from app.cli.transactions import in_platform


@click.command()
@as_json
def overview(as_json: bool) -> None:
    """How the platform fares, part by part; what asks most for a person comes first. Exit code 1 unless all is well."""

    async def find(_: Any, session: Any, actor: Any) -> Any:
        from app import registry
        from app.modules.dashboard.schemas import read
        from app.modules.dashboard.service import Signs

        return read(await Signs(session, actor, registry.signs()).all())

    found = in_platform(find)
    rows = [(one.weight, one.part, one.value, one.text) for one in found.items]
    show(as_json, to_builtins(found), text=f"{found.summary}.\n\n{columns(('', 'part', 'now', 'what'), rows)}")
    if not found.well:
        sys.exit(1)
