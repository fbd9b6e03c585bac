"""`teknav queues`: the queue console without a browser."""

import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import rich_click as click
from msgspec import ValidationError, convert, to_builtins

from app.cli.command import Failed, as_json, columns, cursor, in_process, limit, pager_of, show

T = TypeVar("T")
queue_name = click.argument("queue")
job_id = click.argument("job", type=click.UUID)
reason = click.option("--reason", help="Shown beside the queue and kept in the audit log.")
STATES = ("any", "waiting", "delayed", "active", "completed", "failed", "waiting_children", "cancelled", "removed")


def _with(action: Callable[[Any], Awaitable[T]]) -> T:
    """Run `action(QueueService)` in a transaction of its own."""

    async def run(process: Any, actor: Any) -> T:
        from app.modules.queues.service import QueueService

        async with process.database.transaction(actor.scope) as session:
            return await action(QueueService(session, actor))

    return in_process(run)


@click.group()
def queues() -> None:
    """Queues, their jobs and dead letters."""


@queues.command("list")
@as_json
def queues_list(as_json: bool) -> None:
    """Every queue with its numbers."""
    from app.modules.queues.schemas import QueueList, read_queue

    found = _with(lambda service: service.overview())
    head = ("queue", "waiting", "delayed", "active", "completed", "dead", "")
    rows = [
        (q.name, q.waiting, q.delayed, q.active, q.completed, q.failed, "paused" if q.paused_at else "") for q in found
    ]
    items = QueueList(items=[read_queue(one) for one in found])
    show(as_json, to_builtins(items), text=columns(head, rows))


@queues.command("tenants")
@queue_name
@as_json
def queues_tenants(queue: str, as_json: bool) -> None:
    """The tenants with most work in a queue, the busiest first."""
    found = _with(lambda service: service.tenants(queue))
    head = ("tenant", "waiting", "delayed", "active", "dead", "completed")
    rows = [
        (one.name or one.tenant_id, one.waiting, one.delayed, one.active, one.failed, one.completed)
        for one in found.items
    ]
    show(as_json, to_builtins(found), text=columns(head, rows))


@queues.command("loops")
@as_json
def queues_loops(as_json: bool) -> None:
    """What the leading worker does for all, and whether any of it is late."""
    from app.modules.queues.schemas import read_loops

    found = _with(lambda service: service.loops())
    rows = [
        (one.name, f"{one.age_s:.1f} s ago", f"{one.took_ms:.0f} ms", "late" if one.late else one.error or "")
        for one in found.loops
    ]
    text = columns(("loop", "last round", "took", ""), rows)
    show(as_json, to_builtins(read_loops(found)), text=f"{text}\n{found.trouble}".strip())


@queues.command("pause")
@queue_name
@reason
@as_json
def queues_pause(queue: str, reason: str | None, as_json: bool) -> None:
    """Start no more jobs of a queue; active ones end, new ones wait."""
    _with(lambda service: service.pause(queue, reason))
    show(as_json, {"name": queue, "paused": True}, text=f"{queue} is paused.")


@queues.command("resume")
@queue_name
@reason
@as_json
def queues_resume(queue: str, reason: str | None, as_json: bool) -> None:
    """Let a paused queue go on."""
    _with(lambda service: service.resume(queue, reason))
    show(as_json, {"name": queue, "paused": False}, text=f"{queue} goes on.")


@queues.command("jobs")
@queue_name
@click.option("--state", type=click.Choice(STATES), help="Without one: waiting.")
@click.option("--kind", help="Only jobs of this kind.")
@click.option("--tenant", type=click.UUID, help="Only this tenant's, by id.")
@click.option("--search", help="A job's or tenant's id, or a part of an error message or kind.")
@limit
@cursor
@as_json
def queues_jobs(
    queue: str,
    state: str | None,
    kind: str | None,
    tenant: UUID | None,
    search: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """Jobs of one state or of any, newest first; `failed` are the dead letters. A search is of any state."""
    from app.modules.queues.schemas import JobPage, item

    async def find(process: Any, actor: Any) -> Any:
        from app.modules.queues.service import JobFilter, JobState, QueueService

        pager = pager_of(process)
        named = state or ("any" if search else "waiting")
        wanted = JobFilter(None if named == "any" else JobState(named), kind, tenant, text=search)
        async with process.database.transaction(actor.scope) as session:
            return await QueueService(session, actor).jobs(pager, queue, wanted, limit=limit, cursor=cursor)

    page = in_process(find)
    found = JobPage(items=[item(row) for row in page.items], next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)
    rows = [
        (row.id, row.kind, f"{row.attempts_made}/{row.max_attempts}", row.error_message or "") for row in page.items
    ]
    more = f"\nMore: --cursor {page.next_cursor}" if page.next_cursor else ""
    text = columns(("job", "kind", "attempts", "error"), rows) + more if rows else f"No such jobs in {queue}."
    show(as_json, to_builtins(found), text=text)


@queues.command("retry")
@queue_name
@job_id
@as_json
def queues_retry(queue: str, job: UUID, as_json: bool) -> None:
    """Run a dead job again, or one that waits for its time at once."""
    _print_job(_with(lambda service: service.retry(queue, job)), as_json, "is back in its queue")


@queues.command("replay")
@queue_name
@job_id
@as_json
def queues_replay(queue: str, job: UUID, as_json: bool) -> None:
    """Run a dead letter again."""
    _print_job(_with(lambda service: service.replay(queue, job)), as_json, "is back in its queue")


@queues.command("remove")
@queue_name
@job_id
@as_json
def queues_remove(queue: str, job: UUID, as_json: bool) -> None:
    """Take a job or a dead letter out of every list; for ten minutes `restore` undoes it."""
    _print_job(_with(lambda service: service.remove(queue, job)), as_json, "is removed")


@queues.command("restore")
@queue_name
@job_id
@as_json
def queues_restore(queue: str, job: UUID, as_json: bool) -> None:
    """Undo a removal, within ten minutes."""
    _print_job(_with(lambda service: service.restore(queue, job)), as_json, "is back")


@queues.command("cancel")
@queue_name
@job_id
@as_json
def queues_cancel(queue: str, job: UUID, as_json: bool) -> None:
    """End a job that waits, with all it waits for itself; one that runs is told to stop."""
    row = _with(lambda service: service.cancel(queue, job))
    _print_job(row, as_json, "is being stopped" if row.state == "active" else "is cancelled")


@queues.command("edit")
@queue_name
@job_id
@click.argument("payload", type=click.File())
@as_json
def queues_edit(queue: str, job: UUID, payload: Any, as_json: bool) -> None:
    """Put a new job in place of a dead letter, with the payload of this file, a JSON object; - is standard input.

    A value that is *** there, as it is shown, stays what it was.
    """
    try:
        told = json.loads(payload.read())
    except (ValueError, RecursionError) as error:
        raise Failed(f"PAYLOAD: must be a JSON object: {error}", 2) from None
    if not isinstance(told, dict):
        raise Failed("PAYLOAD: must be a JSON object", 2)
    _print_job(_with(lambda service: service.edit_letter(queue, job, told)), as_json, "runs in its place")


def _which(command: Callable[..., None]) -> Callable[..., None]:
    """The options that choose dead letters of a queue; those that are given all have to fit."""
    for option in (
        click.option("--all", "every", is_flag=True, help="All dead letters of the queue."),
        click.option("--tenant", type=click.UUID, help="Only this tenant's, by id."),
        click.option("--fingerprint", help="Only those with this cause, as `errorFingerprint` of a job names it."),
        click.option("--kind", help="Only those of this kind."),
        click.option("--job", "jobs", type=click.UUID, multiple=True, help="This one; may be given again."),
    ):
        command = option(command)
    return command


@queues.command("replay-all")
@queue_name
@_which
@as_json
def queues_replay_all(queue: str, as_json: bool, **which: Any) -> None:
    """Run dead letters again, each once; at most 1,000, oldest first."""
    choice = _choice(**which)
    _print_done(queue, _with(lambda service: service.replay_letters(queue, choice)), as_json, "replayed")


@queues.command("remove-all")
@queue_name
@_which
@as_json
def queues_remove_all(queue: str, as_json: bool, **which: Any) -> None:
    """Remove dead letters, at most 1,000, oldest first; for ten minutes `restore-all` brings them back."""
    choice = _choice(**which)
    _print_done(queue, _with(lambda service: service.remove_letters(queue, choice)), as_json, "removed")


@queues.command("restore-all")
@queue_name
@click.argument("removed_at", metavar="MOMENT")
@as_json
def queues_restore_all(queue: str, removed_at: str, as_json: bool) -> None:
    """Undo a removal of many dead letters, by the moment that `remove-all` told."""
    from app.modules.queues.schemas import Removal

    try:
        removal = convert({"removedAt": removed_at}, Removal)
    except ValidationError as error:
        raise click.UsageError(str(error)) from None
    _print_done(queue, _with(lambda service: service.restore_letters(queue, removal)), as_json, "restored")


def _choice(jobs: Sequence[UUID], kind: str | None, fingerprint: str | None, tenant: UUID | None, every: bool) -> Any:
    from app.modules.queues.schemas import LetterChoice

    return LetterChoice(ids=jobs or None, kind=kind, fingerprint=fingerprint, tenant_id=tenant, all=every)


def _print_done(queue: str, done: Any, as_json: bool, what: str) -> None:
    from app.modules.queues.schemas import done as told

    found = told(done)
    text = f"{found.done} dead letters {what}, {found.skipped} skipped, {found.left} left."
    text += f" Undo: teknav queues restore-all {queue} {found.removed_at.isoformat()}" if found.removed_at else ""
    show(as_json, to_builtins(found), text=text)


def _print_job(row: Any, as_json: bool, what: str) -> None:
    from app.modules.queues.schemas import item

    show(as_json, to_builtins(item(row)), text=f"The job {row.id} {what}.")


@queues.command("rebuild")
@as_json
def queues_rebuild(as_json: bool) -> None:
    """Fill an empty Redis from the record of work. Safe beside running workers, and safe to run again.

    The leading worker does the same by itself within seconds; this is for where none runs, or to see it happen.
    """

    async def fill(process: Any, _: Any) -> dict[str, int]:
        from app.queues.relay import Reconciler, Relay

        relay = Relay(process.database, process.engine)
        handed_back = await Reconciler(process.database, process.engine, process.runner()).refill()
        waiting = await relay.waiting()
        with click.progressbar(length=waiting, label="Pushing", file=sys.stderr, hidden=as_json) as bar:
            pushed = await relay.push_pending(bar.update)
        return {"handedBack": handed_back, "pushed": pushed}

    found = in_process(fill)
    text = f"{found['pushed']} jobs pushed, {found['handedBack']} of them had been in Redis before."
    show(as_json, found, text=text)


@queues.command("limit")
@queue_name
@click.option("--rate", metavar="JOBS/SECONDS", help="At most so many starts in so many seconds: 20/1; none lifts it.")
@click.option("--running", metavar="N", help="Jobs at once over all workers; none lifts it.")
@click.option("--per-tenant", metavar="N", help="Jobs of one tenant at once; none lifts it.")
@click.option("--declared", is_flag=True, help="Back to what the code says.")
@as_json
def queues_limit(
    queue: str, rate: str | None, running: str | None, per_tenant: str | None, declared: bool, as_json: bool
) -> None:
    """Set what a queue may do over all workers together; what is not given stays as it is."""
    from app.modules.queues.schemas import LimitsChange, QueueRead, read_queue

    given = {"rate": rate, "running": running, "runningPerTenant": per_tenant}
    if declared == any(given.values()):
        raise click.UsageError("Give limits, or --declared.")
    wanted: dict[str, Any] = {name: None if value == "none" else value for name, value in given.items() if value}
    if wanted.get("rate"):
        jobs, _, seconds = str(rate).partition("/")
        wanted["rate"] = {"jobs": jobs, "perS": seconds or "1"}
    try:
        change = convert(wanted, LimitsChange, strict=False)
    except ValidationError as error:
        raise click.UsageError(str(error)) from None

    async def act(service: Any) -> QueueRead:
        await (service.limit_as_declared(queue) if declared else service.limit(queue, change))
        return read_queue(await service.stats(queue))

    found = _with(act)
    show(as_json, to_builtins(found), text=f"{queue}: {to_builtins(found.limits)}")
