"""`teknav workers`: the worker processes, from another process."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, columns, show
from app.cli.transactions import in_platform

worker_id = click.argument("worker", type=click.UUID)


@click.group()
def workers() -> None:
    """Worker processes: list, quiet, resume, stop."""


@workers.command("list")
@as_json
def workers_list(as_json: bool) -> None:
    """Every worker process, and what it does."""
    from app.modules.workers.schemas import WorkerList, WorkerRead, read

    async def ask(_: Any, session: Any, actor: Any) -> list[WorkerRead]:
        from app.modules.workers.service import WorkerService

        return [read(row) for row in await WorkerService(session, actor).list()]

    found = in_platform(ask)
    head = ("worker", "host", "process", "state", "in hand", "lag", "queues")
    rows = [
        (one.id, one.host, one.pid, one.state, one.jobs, f"{one.lag_ms or 0:.0f} ms", ", ".join(one.queues))
        for one in found
    ]
    show(as_json, to_builtins(WorkerList(items=found)), text=columns(head, rows))


@workers.command("quiet")
@worker_id
@as_json
def workers_quiet(worker: UUID, as_json: bool) -> None:
    """Start nothing more there; what runs comes to its end."""
    _tell(lambda service: service.quiet(worker), as_json, "starts nothing more")


@workers.command("resume")
@worker_id
@as_json
def workers_resume(worker: UUID, as_json: bool) -> None:
    """Let a quiet worker start jobs again."""
    _tell(lambda service: service.resume(worker), as_json, "goes on")


@workers.command("stop")
@worker_id
@as_json
def workers_stop(worker: UUID, as_json: bool) -> None:
    """End the process; jobs that run longer than twenty seconds are handed back."""
    _tell(lambda service: service.stop(worker), as_json, "is told to stop")


def _tell(tell: Callable[[Any], Awaitable[Any]], as_json: bool, text: str) -> None:
    async def act(_: Any, session: Any, actor: Any) -> Any:
        from app.modules.workers.schemas import read
        from app.modules.workers.service import WorkerService

        return read(await tell(WorkerService(session, actor)))

    found = in_platform(act)
    show(as_json, to_builtins(found), text=f"The worker {found.id} (process {found.pid} on {found.host}) {text}.")


SHOWN = Shown("Work", (workers,), 20)
