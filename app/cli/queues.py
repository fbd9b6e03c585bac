"""`teknav queues`: the queue console without a browser."""

import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, columns, cursor, in_process, limit, show, show_page, sort
from app.cli.given import fitting
from app.cli.transactions import asked_of, in_platform, of_tenant

T = TypeVar("T")
queue_name = click.argument("queue")
job_id = click.argument("job", type=click.UUID)
reason = click.option("--reason", help="Shown beside the queue and kept in the audit log.")
STATES = ("any", "waiting", "delayed", "active", "completed", "failed", "waiting_children", "cancelled", "removed")


def with_service(action: Callable[[Any], Awaitable[T]]) -> T:
    """Run `action(QueueService)` in a transaction of its own."""

    async def run(_: Any, session: Any, actor: Any) -> T:
        from app.modules.queues.service import QueueService

        return await action(QueueService(session, actor))

    return in_platform(run)


@click.group()
def queues() -> None:
    """Queues, their jobs and dead letters."""


@queues.command("list")
@as_json
def queues_list(as_json: bool) -> None:
    """Every queue with its numbers."""
    from app.modules.queues.schemas import QueueList, read_queue

    found = with_service(lambda service: service.overview())
    head = ("queue", "waiting", "delayed", "active", "completed", "dead", "limit", "")
    rows = [
        (
            q.name,
            q.waiting,
            q.delayed,
            q.active,
            q.completed,
            q.failed,
            f"{q.spec.timeout_s:g} s",
            "paused" if q.paused_at else "",
        )
        for q in found
    ]
    items = QueueList(items=[read_queue(one) for one in found])
    own = [f"{kind}: {limit_s:g} s" for q in found for kind, limit_s in q.kind_limits_s.items()]
    text = "\n".join([columns(head, rows), "", "Kinds with a time limit of their own: " + ", ".join(own)])
    show(as_json, to_builtins(items), text=text if own else columns(head, rows))


@queues.command("tenants")
@queue_name
@as_json
def queues_tenants(queue: str, as_json: bool) -> None:
    """The tenants with most work in a queue, the busiest first."""
    found = with_service(lambda service: service.tenants(queue))
    head = ("tenant", "waiting", "delayed", "active", "dead", "errors", "timed out", "completed")
    rows = [
        (
            one.name or one.tenant_id,
            one.waiting,
            one.delayed,
            one.active,
            one.failed,
            one.errors,
            one.timed_out,
            one.completed,
        )
        for one in found.items
    ]
    show(as_json, to_builtins(found), text=columns(head, rows))


@queues.command("loops")
@as_json
def queues_loops(as_json: bool) -> None:
    """What the leading worker does for all, and whether any of it is late."""
    from app.modules.queues.schemas import read_loops

    found = with_service(lambda service: service.loops())
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
    with_service(lambda service: service.pause(queue, reason))
    show(as_json, {"name": queue, "paused": True}, text=f"{queue} is paused.")


@queues.command("resume")
@queue_name
@reason
@as_json
def queues_resume(queue: str, reason: str | None, as_json: bool) -> None:
    """Let a paused queue go on."""
    with_service(lambda service: service.resume(queue, reason))
    show(as_json, {"name": queue, "paused": False}, text=f"{queue} goes on.")


@queues.command("jobs")
@queue_name
@click.option("--state", type=click.Choice(STATES), help="Without one: waiting.")
@click.option("--kind", help="Only jobs of this kind.")
@of_tenant
@click.option("--search", help="A job's or tenant's id, or a part of an error message or kind.")
@sort
@limit
@cursor
@as_json
def queues_jobs(
    queue: str,
    state: str | None,
    kind: str | None,
    tenant: str | None,
    search: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """Jobs of one state or of any, newest first; `failed` are the dead letters. A search is of any state."""
    from app.modules.queues.schemas import JobPage, item
    from app.modules.queues.service import JobFilter, JobState, QueueService

    named = state or ("any" if search else "waiting")

    async def find(service: QueueService, pager: Any, of: UUID | None) -> Any:
        wanted = JobFilter(None if named == "any" else JobState(named), kind, of, text=search)
        return await service.jobs(pager, queue, wanted, limit=limit, cursor=cursor)

    page = asked_of(tenant, QueueService, find)
    found = JobPage(items=[item(row) for row in page.items], next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)
    rows = [
        (row.id, row.kind, f"{row.attempts_made}/{row.max_attempts}", row.error_message or "") for row in page.items
    ]
    if rows:
        show_page(as_json, found, ("job", "kind", "attempts", "error"), rows)
    else:
        show(as_json, to_builtins(found), text=f"No such jobs in {queue}.")


def print_job(row: Any, as_json: bool, what: str) -> None:
    """What became of a job."""
    from app.modules.queues.schemas import item

    show(as_json, to_builtins(item(row)), text=f"The job {row.id} {what}.")


@queues.command("retry")
@queue_name
@job_id
@as_json
def queues_retry(queue: str, job: UUID, as_json: bool) -> None:
    """Run a dead job again, or one that waits for its time at once."""
    print_job(with_service(lambda service: service.retry(queue, job)), as_json, "is back in its queue")


@queues.command("remove")
@queue_name
@job_id
@as_json
def queues_remove(queue: str, job: UUID, as_json: bool) -> None:
    """Take a job or a dead letter out of every list; for ten minutes `restore` undoes it."""
    print_job(with_service(lambda service: service.remove(queue, job)), as_json, "is removed")


@queues.command("restore")
@queue_name
@job_id
@as_json
def queues_restore(queue: str, job: UUID, as_json: bool) -> None:
    """Undo a removal, within ten minutes."""
    print_job(with_service(lambda service: service.restore(queue, job)), as_json, "is back")


@queues.command("cancel")
@queue_name
@job_id
@as_json
def queues_cancel(queue: str, job: UUID, as_json: bool) -> None:
    """End a job that waits, with all it waits for itself; one that runs is told to stop."""
    row = with_service(lambda service: service.cancel(queue, job))
    print_job(row, as_json, "is being stopped" if row.state == "active" else "is cancelled")


@queues.command("rebuild")
@as_json
def queues_rebuild(as_json: bool) -> None:
    """Fill an empty Redis from the record of work. Safe beside running workers, and safe to run again.

    The leading worker does the same by itself within seconds; this is for where none runs, or to see it happen.
    """

    async def fill(process: Any, _: Any) -> dict[str, int]:
        from app.queues.relay import Reconciler, Relay

        engine = process.engine.over(process.patient_redis)
        relay = Relay(process.database, engine)
        handed_back = await Reconciler(process.database, engine, process.runner()).refill()
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
    change = fitting(wanted, LimitsChange, strict=False)

    async def act(service: Any) -> QueueRead:
        await (service.limit_as_declared(queue) if declared else service.limit(queue, change))
        return read_queue(await service.stats(queue))

    found = with_service(act)
    show(as_json, to_builtins(found), text=f"{queue}: {to_builtins(found.limits)}")


SHOWN = Shown("Work", (queues,), 10)
