"""`teknav doctor` and `config`: what is there, and whether it is well."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import rich_click as click
from msgspec.structs import asdict

from app.cli.command import as_json, settings_of
from app.core.settings import SECRETS, Settings, example, missing_for_service


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """Look at every part, and say what to do about what is wrong."""
    settings = settings_of()
    found = asyncio.run(_examine(settings))
    if as_json:
        click.echo(
            json.dumps([{"part": f.part, "level": f.level, "message": f.message, "remedy": f.remedy} for f in found])
        )
    for item in [] if as_json else found:
        mark = {"ok": click.style("ok     ", fg="green"), "warning": click.style("warning", fg="yellow")}
        click.echo(f"{mark.get(item.level, click.style('error  ', fg='red'))}  {item.part:<10}  {item.message}")
        if item.remedy:
            click.echo(f"                     {item.remedy}")
    if any(item.level == "error" for item in found):
        sys.exit(1)


async def _examine(settings: Settings) -> list[Any]:
    from app import checks
    from app.process import Process

    dist = Path(__file__).parents[1] / "static" / "dist" / "manifest.json"
    found = [
        checks.Finding("python", "ok", sys.version.split()[0]),
        checks.Finding("assets", "ok", "built")
        if dist.exists()
        else checks.Finding("assets", "error", "the dashboard's assets are not built", "Run `make assets`"),
    ]
    if missing := missing_for_service(settings):
        return [*found, *(checks.Finding("settings", "error", line) for line in missing)]
    found.append(checks.Finding("settings", "ok", f"{settings.app_env}, {len(SECRETS)} secrets set"))
    process = Process.open(settings)
    try:
        boot = await checks.boot(process.database, process.queue_redis, settings)
        found += boot
        found.append(checks.proxies(settings))
        if all(item.level != "error" for item in boot if item.part != "redis"):
            found += [await checks.workers(process.database), await checks.loops(process.database)]
    finally:
        await process.close()
    return found


@click.command()
@click.option("--example", "as_example", is_flag=True, help="Print the text of .env.example instead.")
@as_json
def config(as_example: bool, as_json: bool) -> None:
    """Show every setting as it is in force; secrets are hidden."""
    from app.core.logging import redact

    if as_example:
        click.echo(example(), nl=False)
        return
    values = {
        name.upper(): ",".join(value)
        if isinstance(value, tuple)
        else value
        if isinstance(value, bool | int)
        else str(value)
        for name, value in asdict(settings_of()).items()
    }
    hidden = {
        name: redact(value, name if not name.endswith("_KEY") else "secret") if value else value
        for name, value in values.items()
    }
    if as_json:
        click.echo(json.dumps(hidden))
        return
    for name, value in hidden.items():
        click.echo(f"{name}={str(value).lower() if isinstance(value, bool) else value}")
