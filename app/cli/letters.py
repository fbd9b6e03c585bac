"""The commands of `teknav queues` on dead letters: one run again or mended, many at once."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Failed, as_json, show
from app.cli.given import fitting
from app.cli.queues import job_id, print_job, queue_name, with_service
from app.cli.transactions import asked_of, of_tenant


@click.command("replay")
@queue_name
@job_id
@as_json
def letters_replay(queue: str, job: UUID, as_json: bool) -> None:
    """Run a dead letter again."""
    print_job(with_service(lambda service: service.replay(queue, job)), as_json, "is back in its queue")


@click.command("edit")
@queue_name
@job_id
@click.argument("payload", type=click.File())
@as_json
def letters_edit(queue: str, job: UUID, payload: Any, as_json: bool) -> None:
    """Put a new job in place of a dead letter, with the payload of this file, a JSON object; - is standard input.

    A value that is *** there, as it is shown, stays what it was.
    """
    try:
        told = json.loads(payload.read())
    except (ValueError, RecursionError) as error:
        raise Failed(f"PAYLOAD: must be a JSON object: {error}", 2) from None
    if not isinstance(told, dict):
        raise Failed("PAYLOAD: must be a JSON object", 2)
    print_job(with_service(lambda service: service.edit_letter(queue, job, told)), as_json, "runs in its place")


def _which(command: Callable[..., None]) -> Callable[..., None]:
    """The options that choose dead letters of a queue; those that are given all have to fit."""
    for option in (
        click.option("--all", "every", is_flag=True, help="All dead letters of the queue."),
        of_tenant,
        click.option("--fingerprint", help="Only those with this cause, as `errorFingerprint` of a job names it."),
        click.option("--kind", help="Only those of this kind."),
        click.option("--job", "jobs", type=click.UUID, multiple=True, help="This one; may be given again."),
    ):
        command = option(command)
    return command


@click.command("replay-all")
@queue_name
@_which
@as_json
def letters_replay_all(queue: str, as_json: bool, **which: Any) -> None:
    """Run dead letters again, each once; at most 1,000, oldest first."""
    done = _with_letters(lambda service, choice: service.replay_letters(queue, choice), **which)
    _print_done(queue, done, as_json, "replayed")


@click.command("remove-all")
@queue_name
@_which
@as_json
def letters_remove_all(queue: str, as_json: bool, **which: Any) -> None:
    """Remove dead letters, at most 1,000, oldest first; for ten minutes `restore-all` brings them back."""
    done = _with_letters(lambda service, choice: service.remove_letters(queue, choice), **which)
    _print_done(queue, done, as_json, "removed")


@click.command("restore-all")
@queue_name
@click.argument("removed_at", metavar="MOMENT")
@as_json
def letters_restore_all(queue: str, removed_at: str, as_json: bool) -> None:
    """Undo a removal of many dead letters, by the moment that `remove-all` told."""
    from app.modules.queues.schemas import Removal

    removal = fitting({"removedAt": removed_at}, Removal)
    _print_done(queue, with_service(lambda service: service.restore_letters(queue, removal)), as_json, "restored")


def _with_letters(
    act: Callable[[Any, Any], Awaitable[Any]],
    *,
    jobs: Sequence[UUID],
    kind: str | None,
    fingerprint: str | None,
    tenant: str | None,
    every: bool,
) -> Any:
    """Do `act(service, choice)` with the dead letters that the options choose."""
    from app.modules.queues.schemas import LetterChoice
    from app.modules.queues.service import QueueService

    async def run(service: Any, _: Any, of: UUID | None) -> Any:
        choice = LetterChoice(ids=jobs or None, kind=kind, fingerprint=fingerprint, tenant_id=of, all=every)
        return await act(service, choice)

    return asked_of(tenant, QueueService, run)


def _print_done(queue: str, done: Any, as_json: bool, what: str) -> None:
    from app.modules.queues.schemas import done as told

    found = told(done)
    text = f"{found.done} dead letters {what}, {found.skipped} skipped, {found.left} left."
    text += f" Undo: teknav queues restore-all {queue} {found.removed_at.isoformat()}" if found.removed_at else ""
    show(as_json, to_builtins(found), text=text)


LETTERS = (letters_replay, letters_edit, letters_replay_all, letters_remove_all, letters_restore_all)
