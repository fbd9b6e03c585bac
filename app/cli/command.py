"""What every command stands on: settings, the process with the platform's rights, and how answers are printed."""

import asyncio
import getpass
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import rich_click as click
import structlog
from dotenv import dotenv_values

from app.core.garbage import loading
from app.core.settings import Settings, SettingsError, load, missing_for_service

T = TypeVar("T")
SORT = "teknav.sort"


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


class Shown(NamedTuple):
    """Where the help shows the commands of a file, which says so in its `SHOWN`; a lower order stands further up."""

    panel: str
    commands: tuple[click.Command, ...]
    order: int = 50


class Layers(NamedTuple):
    """Where settings come from, the strongest first; each holds variables that are not empty."""

    environment: dict[str, str]
    file: dict[str, str]
    running: dict[str, str]

    @property
    def values(self) -> dict[str, str]:
        return self.running | self.file | self.environment


def layers_of(*, running: bool = True) -> Layers:
    """The environment over `.env` over what a running `teknav up` in this data folder has told."""
    from app.embedded import lock

    file, environment = (
        {name: value for name, value in source.items() if value} for source in (dotenv_values(".env"), os.environ)
    )
    folder = (file | environment).get("TEKNAV_DATA_DIR", "")
    found = lock.running(load({"TEKNAV_DATA_DIR": folder}).data_dir) if running else None
    return Layers(environment, file, found.environment if found else {})


def settings_of(*, running: bool = True) -> Settings:
    try:
        return load(layers_of(running=running).values)
    except SettingsError as error:
        raise Failed(str(error), 2) from None


def serving(settings: Settings) -> Settings:
    from app.core.logging import configure

    if missing := missing_for_service(settings):
        raise Failed("\n".join(missing), 2)
    configure(settings)
    return settings


def unreachable(error: OSError) -> Failed:
    return Failed(f"PostgreSQL cannot be reached: {error}. Does `teknav up` run in this folder?")


def in_process(action: Callable[[Any, Any], Awaitable[T]]) -> T:
    """Run `action(process, actor)` with the platform's rights."""
    with loading():
        from sqlalchemy.exc import SQLAlchemyError

        from app import registry
        from app.core.database import Plane
        from app.core.errors import Problem
        from app.core.ids import new_id
        from app.core.policy import Actor
        from app.process import Process
        from app.queues.clock import clock

    settings = serving(settings_of())

    async def run() -> T:
        process = Process.open(settings)
        actor = Actor("cli", None, f"cli:{getpass.getuser()}", frozenset(registry.permissions()), Plane.PLATFORM)
        structlog.contextvars.bind_contextvars(request_id=f"cli-{new_id()}", correlation_id=str(new_id()))
        try:
            with suppress(OSError, SQLAlchemyError):  # the action says it better, if it needs the database at all
                clock.correct(await process.database.measure_clock())
            return await action(process, actor)
        except Problem as problem:
            lines = [f"{error.field}: {error.message}" for error in problem.errors]
            raise Failed("\n".join(lines) or problem.detail) from None
        except OSError as error:
            raise unreachable(error) from None
        finally:
            await process.close()

    return asyncio.run(run())


def asked(service: Callable[[Any, Any], Any], ask: Callable[[Any, Any], Awaitable[T]]) -> T:
    """`ask(service, pager)`, in a transaction with the platform's rights that `service(session, actor)` works in."""

    async def run(process: Any, actor: Any) -> T:
        async with process.database.transaction(actor.scope) as session:
            return await ask(service(session, actor), pager_of(process))

    return in_process(run)


def show(as_json: bool, found: dict[str, Any], *, text: str) -> None:
    click.echo(json.dumps(found) if as_json else text)


def columns(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows as text, each column as wide as its widest entry; None is blank."""
    cells = [list(head), *(["" if cell is None else str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def pager_of(process: Any) -> Any:
    from app.core.paging import Pager
    from app.core.secrets import Signer

    context = click.get_current_context(silent=True)
    return Pager(Signer(process.settings.secret_key), context.meta.get(SORT) if context else None)


def show_page(as_json: bool, page: Any, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A page of a list, as the API tells it or in columns; the cursor of the next one stands below."""
    from msgspec import to_builtins

    more = f"\n\nMore: --cursor {page.next_cursor}" if page.next_cursor else ""
    show(as_json, to_builtins(page), text=columns(head, rows) + more)


limit = click.option("--limit", type=click.IntRange(1, 100), default=25, show_default=True)
sort = click.option(
    "--sort",
    expose_value=False,
    callback=lambda context, _, value: context.meta.__setitem__(SORT, value),
    help="A column as the API names it, createdAt for one, or -createdAt for the last first.",
)
cursor = click.option("--cursor", help="Where the page before ended.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
