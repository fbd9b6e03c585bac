"""`teknav doctor` and `config`: what is there, and whether it is well."""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import rich_click as click
from msgspec.structs import asdict

from app.cli.command import Failed, Layers, Shown, as_json, layers_of
from app.core.settings import SECRETS, Settings, SettingsError, example, load, missing_for_service


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """Look at every part, and say what to do about what is wrong."""
    found = asyncio.run(_examine(layers_of()))
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


async def _examine(layers: Layers) -> list[Any]:
    from app import checks
    from app.core.egress import Egress

    dist = Path(__file__).parents[1] / "static" / "dist" / "manifest.json"
    found = [
        checks.Finding("python", "ok", sys.version.split()[0]),
        checks.Finding("assets", "ok", "built")
        if dist.exists()
        else checks.Finding("assets", "error", "the dashboard's assets are not built", "Run `make assets`"),
    ]
    settings, problems = _usable(layers.values)
    found += [checks.Finding("settings", "error", line) for line in problems]
    if settings is None:
        return found
    egress = Egress()
    try:
        found += [await checks.provider(egress, settings), checks.mail(settings)]
        if not (layers.running or settings.database_url or settings.redis_url):
            message = f"TekNav is not running in this folder: {settings.data_dir} has no running `teknav up`"
            remedy = "Run `make up`, or set DATABASE_URL and REDIS_URL to look at servers of your own"
            return [*found, checks.Finding("teknav", "error", message, remedy)]
        found.append(await checks.web(egress, settings.base_url))
        if missing := missing_for_service(settings):
            return [*found, *(checks.Finding("settings", "error", line) for line in missing)]
        if not problems:
            found.append(checks.Finding("settings", "ok", f"{settings.app_env}, {len(SECRETS)} secrets set"))
        return found + await _services(settings)
    finally:
        await egress.aclose()


def _usable(values: dict[str, str]) -> tuple[Settings | None, list[str]]:
    """The settings and what is wrong with them: without the variables that are wrong, the rest can be looked at."""
    try:
        return load(values), []
    except SettingsError as error:
        named = {word for line in error.problems for word in re.findall(r"\b[A-Z][A-Z_]+\b", line)}
        try:
            return load({name: value for name, value in values.items() if name not in named}), error.problems
        except SettingsError:
            return None, error.problems


async def _services(settings: Settings) -> list[Any]:
    from app import checks
    from app.process import Process

    process = Process.open(settings)
    try:
        boot = await checks.boot(process.database, process.queue_redis, settings)
        found = [*boot, checks.proxies(settings), *await checks.cache(process.redis, settings)]
        found += await checks.rest(process.redis, settings)
        if all(item.level != "error" for item in boot if item.part != "redis"):
            found += [await checks.workers(process.database), await checks.loops(process.database)]
        return found
    finally:
        await process.close()


@click.command()
@click.option("--example", "as_example", is_flag=True, help="Print the text of .env.example instead.")
@as_json
def config(as_example: bool, as_json: bool) -> None:
    """Show every setting of this command, and where it comes from; secrets are hidden.

    That is the environment here, `.env`, the running `teknav up` of this folder, or the default. A process that was
    started with another environment keeps its own until it is started again.
    """
    from app.core.logging import redact

    if as_example:
        click.echo(example(), nl=False)
        return
    layers = layers_of()
    try:
        settings = load(layers.values)
    except SettingsError as error:
        raise Failed(str(error), 2) from None
    values = {
        name.upper(): ",".join(value)
        if isinstance(value, tuple)
        else value
        if isinstance(value, bool | int)
        else str(value)
        for name, value in asdict(settings).items()
    }
    hidden = {
        name: redact(value, name if not name.endswith("_KEY") else "secret") if value else value
        for name, value in values.items()
    }
    if as_json:
        click.echo(
            json.dumps({name: {"value": value, "from": _source(layers, name)} for name, value in hidden.items()})
        )
        return
    for name, value in hidden.items():
        line = f"{name}={str(value).lower() if isinstance(value, bool) else value}"
        click.echo(f"{line:<50}  # {_source(layers, name)}")


def _source(layers: Layers, name: str) -> str:
    names = {name, "NODE_ENV"} if name == "APP_ENV" else {name}
    labels = ("environment", ".env", "running teknav up")
    return next((label for label, layer in zip(labels, layers, strict=True) if names & layer.keys()), "default")


SHOWN = Shown("Run TekNav", (doctor, config), 20)
