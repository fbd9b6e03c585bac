"""The `teknav` command. Services run in this process, as `cli:<os user>` with the platform's rights; audited."""

import asyncio
import getpass
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click
import structlog
from dotenv import dotenv_values
from msgspec.structs import asdict

from app import __version__
from app.core.settings import SECRETS, Settings, SettingsError, example, load, missing_for_service

T = TypeVar("T")
OPTIONS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Failed(click.ClickException):
    """An expected failure: its lines go to standard error, and the exit code is 1 where none is named."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return self.code

    def show(self, file: Any = None) -> None:
        click.echo(self.message, err=True, file=file)


def settings_of(*, running: bool = True) -> Settings:
    """The environment over `.env` over what a running `teknav up` in this data folder has told."""
    from app.embedded import lock

    values = {name: value or "" for name, value in dotenv_values(".env").items()} | dict(os.environ)
    try:
        if running:
            found = lock.running(load(values).data_dir)
            told = found.environment if found else {}
            values = told | {name: value for name, value in values.items() if value or name not in told}
        return load(values)
    except SettingsError as error:
        raise Failed(str(error), 2) from None


def serving(settings: Settings) -> Settings:
    from app.core.logging import configure

    if missing := missing_for_service(settings):
        raise Failed("\n".join(missing), 2)
    configure(settings)
    return settings


def in_process(action: Callable[[Any, Any], Awaitable[T]]) -> T:
    """Run `action(process, actor)` with the platform's rights."""
    from app import registry
    from app.core.database import Plane
    from app.core.errors import Problem
    from app.core.ids import new_id
    from app.core.policy import Actor
    from app.process import Process

    settings = serving(settings_of())

    async def run() -> T:
        process = Process.open(settings)
        actor = Actor("cli", None, f"cli:{getpass.getuser()}", frozenset(registry.permissions()), Plane.PLATFORM)
        structlog.contextvars.bind_contextvars(request_id=f"cli-{new_id()}", correlation_id=str(new_id()))
        try:
            return await action(process, actor)
        except Problem as problem:
            lines = [f"{error.field}: {error.message}" for error in problem.errors]
            raise Failed("\n".join(lines) or problem.detail) from None
        except OSError as error:
            raise Failed(f"PostgreSQL cannot be reached: {error}. Does `teknav up` run in this folder?") from None
        finally:
            await process.close()

    return asyncio.run(run())


def show(as_json: bool, found: dict[str, Any], *, text: str) -> None:
    click.echo(json.dumps(found) if as_json else text)


as_json = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")


@click.group(context_settings=OPTIONS)
@click.version_option(__version__, prog_name="teknav")
def main() -> None:
    """TekNav: the control room and API of a multi-tenant publishing platform that works with AI."""


@main.command()
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


@main.command()
def web() -> None:
    """Serve the dashboard and the API."""
    from granian.constants import Interfaces, Loops
    from granian.server import Server

    settings = serving(settings_of())
    _export(settings)
    Server(
        "app.main:from_environment",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        factory=True,
        websockets=False,
        log_enabled=False,
        respawn_failed_workers=False,
    ).serve()


def _export(settings: Settings) -> None:
    """The server loads the app in a process of its own, which reads the environment."""
    for name, value in asdict(settings).items():
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        os.environ[name.upper()] = text


@main.command()
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

    import uvloop

    from app import worker as root

    try:
        uvloop.run(root.run(settings, chosen))
    except SettingsError as error:
        raise Failed(str(error), 2) from None


@main.command(hidden=True)
def suspects() -> None:
    """Run jobs that may have ended their worker; started by workers."""
    from app import worker as root

    root.serve_suspects(serving(settings_of()))


@main.command()
@as_json
def migrate(as_json: bool) -> None:
    """Bring the database to this version. Safe to run again."""
    from app import migrate as migrations

    settings = settings_of()
    if not settings.database_url:
        raise Failed("DATABASE_URL: set it, or use `teknav up`", 2)
    try:
        revision = migrations.run(settings)
    except (migrations.CannotMakeRoles, OSError) as error:
        raise Failed(str(error)) from None
    show(as_json, {"revision": revision}, text=f"The database is at {revision}.")


@main.group()
def owner() -> None:
    """The platform's owners."""


@owner.command("create")
@click.option("--email", required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking.")
@as_json
def owner_create(email: str, password_stdin: bool, as_json: bool) -> None:
    """Make an owner who can sign in to the dashboard."""
    password = (
        sys.stdin.readline().rstrip("\n")
        if password_stdin
        else click.prompt("Password", hide_input=True, confirmation_prompt=True)
    )

    async def create(process: Any, actor: Any) -> dict[str, Any]:
        from app.modules.identity.service import IdentityService

        async with process.database.transaction(actor.scope) as session:
            user = await IdentityService(session, actor).create_owner(email, password)
            return {"id": str(user.id), "email": user.email}

    made = in_process(create)
    show(as_json, made, text=f"{made['email']} is an owner now.")


@owner.command("link")
@as_json
def owner_link(as_json: bool) -> None:
    """Print a new link that makes the first owner; there is none once an owner exists."""
    base = settings_of().base_url

    async def issue(process: Any, _: Any) -> str | None:
        from app.core.database import SYSTEM
        from app.modules.identity.service import OwnerLinks

        async with process.database.transaction(SYSTEM) as session:
            secret = await OwnerLinks(session).issue()
            return f"{base}/setup/{secret}" if secret else None

    link = in_process(issue)
    if link is None and not as_json:
        raise Failed("There is an owner already.")
    show(as_json, {"link": link}, text=str(link))


@main.group()
def tenant() -> None:
    """Tenants."""


@tenant.command("create")
@click.argument("name")
@as_json
def tenant_create(name: str, as_json: bool) -> None:
    """Make a tenant, with a first workspace."""

    async def create(process: Any, actor: Any) -> dict[str, Any]:
        from app.modules.tenants.service import TenantService

        async with process.database.transaction(actor.scope) as session:
            made = await TenantService(session, actor).create(name)
            return {"id": str(made.id), "name": made.name, "slug": made.slug}

    made = in_process(create)
    show(as_json, made, text=f"{made['name']} is there, as {made['slug']} ({made['id']}).")


@main.group()
def token() -> None:
    """API tokens."""


@token.command("create")
@click.option("--tenant", "slug", help="The tenant, by slug or id.")
@click.option("--platform", is_flag=True, help="A token for /api/owner instead.")
@click.option("--scope", "scopes", multiple=True, required=True, help="What it may do; give it several times.")
@click.option("--name", default="made by teknav", show_default=True)
@click.option("--expires-in-days", type=click.IntRange(1, 3650), default=90, show_default=True)
@as_json
def token_create(
    slug: str | None, platform: bool, scopes: tuple[str, ...], name: str, expires_in_days: int, as_json: bool
) -> None:
    """Make an API token. It is shown once."""
    if platform == bool(slug):
        raise click.UsageError("Give either --tenant or --platform.")

    async def create(process: Any, actor: Any) -> dict[str, Any]:
        from app.core.ids import PLATFORM_TENANT
        from app.modules.identity.service import TokenService
        from app.modules.tenants.service import TenantService

        async with process.database.transaction(actor.scope) as session:
            tenant_id = (await TenantService(session, actor).find(slug)).id if slug else PLATFORM_TENANT
            made, secret = await TokenService(session, actor).create(
                tenant_id, name=name, scopes=list(scopes), expires_in_days=expires_in_days
            )
            return {"id": str(made.id), "token": secret, "scopes": made.scopes}

    made = in_process(create)
    show(as_json, made, text=f"{made['token']}\n\nKeep it now: it is not shown again.")


@main.command()
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

    dist = Path(__file__).parent / "static" / "dist" / "manifest.json"
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
            found.append(await checks.workers(process.database))
    finally:
        await process.close()
    return found


@main.command()
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


if __name__ == "__main__":
    main()
