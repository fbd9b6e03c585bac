"""`teknav up`, `web`, `worker` and `migrate`: what runs until it is stopped, and what that stands on."""

import asyncio
import json
import os
import sys

import rich_click as click
from msgspec.structs import asdict

from app.cli.command import Failed, Shown, as_json, serving, settings_of, show
from app.core.garbage import loading
from app.core.settings import Settings, SettingsError


@click.command()
@click.option("--verbose", "-v", is_flag=True, help="Show the output of web and worker here.")
def up(verbose: bool) -> None:
    """Start everything on this machine, and stop it all with Ctrl-C.

    Starts PostgreSQL and Valkey under TEKNAV_DATA_DIR, unless DATABASE_URL and REDIS_URL name others.
    """
    from app.embedded import supervisor
    from app.embedded.errors import CannotStart

    settings = settings_of(running=False)

    async def announce(address: str) -> None:
        click.echo(f"\n  TekNav runs at {address}/dashboard/owner")
        # In a process of its own: this one stays small, because it lives as long as everything else.
        command = (sys.executable, "-m", "app.cli", "owner", "link", "--json")
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        told, _ = await child.communicate()
        link = json.loads(told)["link"] if child.returncode == 0 else None
        if link:
            click.echo(f"  Make the first owner here, once, within 30 minutes:\n\n    {link}\n")
        click.echo("  Stop with Ctrl-C.")

    try:
        code = asyncio.run(supervisor.run(settings, verbose=verbose, announce=announce))
    except CannotStart as error:
        raise Failed(str(error), error.exit_code) from None
    sys.exit(code)


@click.command()
def web() -> None:
    """Serve the dashboard and the API."""
    from granian.constants import Interfaces, Loops
    from granian.server import Server

    settings = serving(settings_of())
    _export(settings)
    server = Server(
        "app.main:from_environment",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        factory=True,
        websockets=False,
        log_enabled=False,
        respawn_failed_workers=False,
    )
    # The process that the server forks loads the app, and collects from there on; this one waits for it.
    with loading():
        server.serve()


def _export(settings: Settings) -> None:
    """The server loads the app in a process of its own, which reads the environment."""
    for name, value in asdict(settings).items():
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        os.environ[name.upper()] = text


@click.command()
@click.option("--queues", "names", default="", help="Serve only these, with commas between.")
@click.option("--processes", type=click.IntRange(1, 64), help="Keep so many running.  [default: WORKER_PROCESSES]")
def worker(names: str, processes: int | None) -> None:
    """Run jobs until told to stop."""
    settings = serving(settings_of())
    chosen = tuple(name.strip() for name in names.split(",") if name.strip()) or settings.worker_queues
    count = processes or settings.worker_processes
    if count > 1:
        from app.embedded import workers

        _export(settings)
        sys.exit(asyncio.run(workers.run(count, ("-m", "app.cli", "worker", "--queues", ",".join(chosen)))))

    with loading():
        from app import worker as root

    try:
        root.serve(settings, chosen)
    except SettingsError as error:
        raise Failed(str(error), 2) from None


@click.command()
@as_json
def migrate(as_json: bool) -> None:
    """Bring the database to this version. Safe to run again."""
    with loading():
        from app import migrate as migrations

    settings = settings_of()
    if not settings.database_url:
        raise Failed("DATABASE_URL: set it, or use `teknav up`", 2)
    try:
        revision = migrations.run(settings)
    except (migrations.CannotMakeRoles, OSError) as error:
        raise Failed(str(error)) from None
    show(as_json, {"revision": revision}, text=f"The database is at {revision}.")


SHOWN = Shown("Run TekNav", (up, migrate, web, worker), 10)
