"""`teknav import`: files of other programs become a tenant's drafts."""

import asyncio
import io
import time
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import rich_click as click
from rich.console import Console
from rich.progress import Progress

from app.cli.command import Failed, Shown, as_json, columns, in_process, show

PAUSE_S = 0.3
LARGEST = 10 * 1024 * 1024
MARKDOWN = (".md", ".markdown")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--tenant", required=True, help="A slug or an id: whose drafts they become.")
@click.option("--dry-run", is_flag=True, help="Tell what would become of each article, and make none.")
@click.option("--wait", "wait_s", type=click.IntRange(0), default=600, show_default=True, help="Seconds to follow it.")
@as_json
def import_(file: Path, tenant: str, dry_run: bool, wait_s: int, as_json: bool) -> None:
    """Import FILE: a folder with Markdown files, a ZIP archive of one, or the XML that WordPress exports.

    Each article becomes a draft, once. A worker reads it; articles that could not be made end with exit code 1.
    """
    data = _packed(file) if file.is_dir() else file.read_bytes()
    if len(data) > LARGEST:
        raise Failed(f"{file.name} has more than {LARGEST // 1024**2} MB: divide it")

    async def run(process: Any, actor: Any) -> dict[str, Any]:
        from msgspec import to_builtins

        from app.core.database import Plane, Scope
        from app.modules.imports.schemas import item, read
        from app.modules.imports.service import ImportService, Outcome, Status
        from app.modules.tenants.service import TenantService

        async with process.database.transaction(actor.scope) as session:
            scope = Scope(Plane.TENANT, (await TenantService(session, actor).find(tenant)).id)
        async with process.database.transaction(scope) as session:
            import_id = (await ImportService(session, actor).start(file.name, data, dry_run=dry_run)).id
        until = time.monotonic() + wait_s
        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task(file.name)
            while True:
                async with process.database.transaction(scope) as session:
                    row = await ImportService(session, actor).get(import_id)
                percent = 100 * row.done // row.total if row.total else 0
                bar.update(task, completed=percent)
                if row.status in (Status.COMPLETED, Status.FAILED) or time.monotonic() >= until:
                    break
                await asyncio.sleep(PAUSE_S)
        async with process.database.transaction(scope) as session:
            wrong = await ImportService(session, actor).all_items(import_id, Outcome.FAILED)
        return {"import": to_builtins(read(row)), "failed": [to_builtins(item(one)) for one in wrong]}

    found = in_process(run)
    told, wrong = found["import"], found["failed"]
    lines = [f"{told['status']}: {told['created']} created, {told['skipped']} skipped, {told['failed']} failed"]
    if told["dryRun"]:
        lines[0] = lines[0].replace(" created", " would be created") + " (dry run)"
    lines += [told["error"]] if told["error"] else []
    lines += (
        [columns(("file", "why"), [(one["source"].partition(":")[2], one["reason"]) for one in wrong])] if wrong else []
    )
    show(as_json, found, text="\n".join(lines))
    if told["failed"] or told["status"] == "failed":
        raise SystemExit(1)


def _packed(folder: Path) -> bytes:
    """The Markdown files of a folder, hidden ones left out."""
    data = io.BytesIO()
    # Not strict: what was last changed before 1980 is taken like others.
    with ZipFile(data, "w", ZIP_DEFLATED, strict_timestamps=False) as archive:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            hidden = any(part.startswith(".") for part in name.parts)
            if path.is_file() and path.suffix.lower() in MARKDOWN and not hidden:
                archive.write(path, name.as_posix())
    return data.getvalue()


SHOWN = Shown("Content and readers", (import_,), 40)
