"""`teknav export`: lists as files that a worker writes and web processes hand out."""

from pathlib import Path
from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, cursor, in_process, limit, pager_of, show, show_page, sort
from app.cli.logs import filter_of, save, where
from app.cli.transactions import in_platform

export_argument = click.argument("export_id", type=click.UUID, metavar="EXPORT")


@click.group()
def export() -> None:
    """Lists as files, kept for a while; EXPORT is an id."""


@export.command("list")
@click.option("--search", "text", help="A part of who made it.")
@click.option("--list", "name", help="The list that was exported, such as audit.")
@click.option("--state", type=click.Choice(["queued", "running", "completed", "failed"]))
@sort
@limit
@cursor
@as_json
def export_list(text: str | None, name: str | None, state: Any, limit: int, cursor: str | None, as_json: bool) -> None:
    """List exports, newest first."""

    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.modules.exports.schemas import ExportPage, read
        from app.modules.exports.service import Exports

        found = await Exports(session, actor).search(
            pager_of(process), text=text, name=name, state=state, limit=limit, cursor=cursor
        )
        page = found.map(read)
        return ExportPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    found = in_platform(find)
    rows = [(one.list, one.format, one.state, one.row_count, one.actor_label, one.id) for one in found.items]
    show_page(as_json, found, ("list", "format", "state", "rows", "by", "id"), rows)


@export.command("create")
@click.argument("name", metavar="LIST")
@click.option("--format", "form", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True)
@where
@as_json
def export_create(name: str, form: str, given: tuple[str, ...], as_json: bool) -> None:
    """Have a worker write LIST, such as audit or articles, to a file."""
    wanted = filter_of(given)

    async def act(_: Any, session: Any, actor: Any) -> Any:
        from app.modules.exports.schemas import read
        from app.modules.exports.service import Exports

        return read(await Exports(session, actor).create(name, form, wanted))

    found = in_platform(act)
    show(as_json, to_builtins(found), text=f"{found.list} is {found.state}: {found.id}")


@export.command("save")
@export_argument
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, writable=True))
@as_json
def export_save(export_id: UUID, file: Path, as_json: bool) -> None:
    """Write a completed export to FILE. It leaves a row in the access log."""

    async def fetch(process: Any, actor: Any) -> dict[str, Any]:
        from app.modules.access.service import record_read
        from app.modules.exports.schemas import FILE_SEEN
        from app.modules.exports.service import Exports, pieces

        async with process.database.transaction(actor.scope) as session:
            row = await Exports(session, actor).file(export_id)
            await record_read(session, actor, FILE_SEEN, resource_id=export_id, rows=row.row_count)
        size = await save(file, pieces(process.database, actor.scope, row))
        return {"file": str(file), "rows": row.row_count, "bytes": size}

    done = in_process(fetch)
    show(as_json, done, text=f"{done['rows']} rows are in {done['file']}.")


@export.command("remove")
@export_argument
@as_json
def export_remove(export_id: UUID, as_json: bool) -> None:
    """Remove an export with its file."""

    async def act(_: Any, session: Any, actor: Any) -> Any:
        from app.modules.exports.schemas import read
        from app.modules.exports.service import Exports

        return read(await Exports(session, actor).remove(export_id))

    found = in_platform(act)
    show(as_json, {"id": str(found.id), "removed": True}, text=f"The export of {found.list} is removed.")


SHOWN = Shown("Who did what", (export,), 30)
