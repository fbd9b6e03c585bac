"""`teknav file`: what tenants keep beside their articles."""

from pathlib import Path
from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Failed, Shown, as_json, columns, cursor, limit, pager_of, show, show_page, sort
from app.cli.imports import LARGEST
from app.cli.transactions import in_platform, in_tenant, of_tenant, tenant_id

file_argument = click.argument("file_id", type=click.UUID, metavar="FILE")
tenant_option = click.option("--tenant", "slug", required=True, help="The tenant, by slug or id.")


def _service(process: Any, session: Any, actor: Any) -> Any:
    from app.modules.media.service import FileService, folder_of

    return FileService(session, actor, folder_of(process.settings))


@click.group()
def file() -> None:
    """Pictures and PDFs of tenants; FILE is an id."""


@file.command("list")
@of_tenant
@click.option("--search", "text", help="A part of the name.")
@click.option("--type", "media_type", help="image/png, or image for all of them.")
@sort
@limit
@cursor
@as_json
def file_list(
    tenant: str | None, text: str | None, media_type: str | None, limit: int, cursor: str | None, as_json: bool
) -> None:
    """List files, newest first."""

    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.modules.media.schemas import FileOwnedPage, owned
        from app.modules.media.service import FileFilter

        wanted = FileFilter(text, media_type, await tenant_id(session, actor, tenant))
        files = _service(process, session, actor)
        page = (await files.search(pager_of(process), wanted, limit=limit, cursor=cursor)).map(owned)
        return FileOwnedPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    found = in_platform(find)
    rows = [(one.name, one.media_type, one.byte_count, one.id) for one in found.items]
    show_page(as_json, found, ("file", "type", "bytes", "id"), rows)


@file.command("show")
@file_argument
@as_json
def file_show(file_id: UUID, as_json: bool) -> None:
    """Tell what is known of a file, and which smaller pictures there are of it."""

    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.modules.media.schemas import detail

        files = _service(process, session, actor)
        return detail(await files.get(file_id), await files.assets(file_id))

    found = to_builtins(in_platform(find))
    lines = [(name, value) for name, value in found.items() if value is not None and name != "assets"]
    lines += [("picture", f"{one['width']} × {one['height']}") for one in found["assets"]]
    show(as_json, found, text=columns(("field", "value"), lines))


@file.command("add")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@tenant_option
@as_json
def file_add(path: Path, slug: str, as_json: bool) -> None:
    """Keep the JPEG, PNG, GIF, WebP or PDF at PATH; the same bytes again are the file that is there."""
    if path.stat().st_size > LARGEST:
        raise Failed(f"PATH: {path.name} has more than {LARGEST // 1024**2} MB")
    data = path.read_bytes()

    async def act(process: Any, session: Any, actor: Any) -> Any:
        from app.core.uploads import Upload
        from app.modules.media.schemas import read

        row, new = await _service(process, session, actor).add(Upload(path.name, "", data, {}))
        return read(row), new

    found, new = in_tenant(slug, act)
    show(as_json, to_builtins(found), text=f"{found.name} {'is kept' if new else 'was there already'}: {found.id}")


@file.command("delete")
@file_argument
@tenant_option
@as_json
def file_delete(file_id: UUID, slug: str, as_json: bool) -> None:
    """Delete a file, with its smaller pictures."""

    async def act(process: Any, session: Any, actor: Any) -> str:
        files = _service(process, session, actor)
        name = (await files.get(file_id)).name
        await files.delete(file_id)
        return str(name)

    name = in_tenant(slug, act)
    show(as_json, {"id": str(file_id), "deleted": True}, text=f"{name} is deleted.")


SHOWN = Shown("Content and readers", (file,), 30)
