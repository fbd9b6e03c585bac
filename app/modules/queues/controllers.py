"""`/api/owner/queues`."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import convert

from app.core.errors import Invalid
from app.core.moments import moment
from app.core.paging import Pager
from app.modules.queues.permissions import MANAGE, READ
from app.modules.queues.repository import JobFilter
from app.modules.queues.schemas import (
    ANY,
    JOB_SEEN,
    QUEUE_ANSWERS,
    DeadLetterPage,
    EditedPayload,
    JobItem,
    JobPage,
    JobRead,
    JobState,
    LetterChoice,
    LetterGroup,
    LetterGroups,
    LettersDone,
    LimitsChange,
    LoopList,
    QueueList,
    QueueRead,
    QueueTenants,
    Reason,
    Removal,
    done,
    item,
    letter,
    read,
    read_loops,
    read_queue,
)
from app.modules.queues.service import SORTS, QueueService

STATES = [*JobState, ANY]
MOST_SEARCHED = 200


def provide_filter(
    # Litestar keeps the name `state` for itself, and its own errors would name the parameter as Python does.
    job_state: Annotated[str, QueryParameter(name="state", schema_extra={"enum": ["", *STATES]})] = "",
    kind: FromQuery[str] = "",
    tenant_id: Annotated[str, QueryParameter(name="tenantId")] = "",
    fingerprint: FromQuery[str] = "",
    q: FromQuery[str] = "",
    since: Annotated[str, QueryParameter(name="from")] = "",
    until: Annotated[str, QueryParameter(name="to")] = "",
) -> JobFilter:
    """Which jobs the address asks for; a filter that is empty is none, as browsers send it.

    Without a state, `q` searches all of them, and what is no search shows the waiting ones.

    Raises:
        Invalid: naming the parameter.
    """
    job_state = job_state or (ANY if q.strip() else JobState.WAITING)
    if job_state not in STATES:
        raise Invalid.field("state", f"must be one of {', '.join(STATES)}")
    for name, value in (("kind", kind), ("fingerprint", fingerprint), ("q", q)):
        if "\0" in value:
            raise Invalid.field(name, "must not contain the character U+0000")
    if len(q) > MOST_SEARCHED:
        raise Invalid.field("q", f"must have at most {MOST_SEARCHED} characters")
    try:
        tenant = UUID(tenant_id) if tenant_id else None
    except ValueError:
        raise Invalid.field("tenantId", "must be a UUID") from None
    return JobFilter(
        None if job_state == ANY else JobState(job_state),
        kind.strip() or None,
        tenant,
        fingerprint.strip() or None,
        q.strip() or None,
        moment("from", since),
        moment("to", until, end=True),
    )


class QueueController(Controller):
    path = "/queues"

    @get("/", permission=READ, cached=QUEUE_ANSWERS)
    async def index(self, queues: NamedDependency[QueueService]) -> QueueList:
        """List the queues with their numbers."""
        return QueueList(items=[read_queue(one) for one in await queues.overview()])

    @get("/{queue:str}/stats", permission=READ, cached=QUEUE_ANSWERS)
    async def stats(self, queue: FromPath[str], queues: NamedDependency[QueueService]) -> QueueRead:
        """Read one queue\'s numbers."""
        return read_queue(await queues.stats(queue))

    @get("/{queue:str}/tenants", permission=READ)
    async def tenants(
        self, queue: FromPath[str], queues: NamedDependency[QueueService], limit: FromQuery[int] = 10
    ) -> QueueTenants:
        """List the tenants with most work in a queue, the busiest first."""
        return await queues.tenants(queue, limit)

    @post("/{queue:str}/pause", permission=MANAGE, audit="owner.queue.pause", status_code=200)
    async def pause(
        self, queue: FromPath[str], queues: NamedDependency[QueueService], data: JSONBody[Reason | None] = None
    ) -> QueueRead:
        """Pause a queue: it starts nothing more. 409 where it is paused already."""
        await queues.pause(queue, data.reason if data else None)
        return read_queue(await queues.stats(queue))

    @post("/{queue:str}/resume", permission=MANAGE, audit="owner.queue.resume", status_code=200)
    async def resume(
        self, queue: FromPath[str], queues: NamedDependency[QueueService], data: JSONBody[Reason | None] = None
    ) -> QueueRead:
        """Let a paused queue go on. 409 where it is not paused."""
        await queues.resume(queue, data.reason if data else None)
        return read_queue(await queues.stats(queue))

    @patch("/{queue:str}/limits", permission=MANAGE, audit="owner.queue.limit")
    async def limit(
        self, queue: FromPath[str], queues: NamedDependency[QueueService], data: JSONBody[LimitsChange]
    ) -> QueueRead:
        """Set how many jobs start in a time and run at once, over all workers together."""
        await queues.limit(queue, data)
        return read_queue(await queues.stats(queue))

    @delete("/{queue:str}/limits", permission=MANAGE, audit="owner.queue.limit", status_code=200)
    async def limit_as_declared(self, queue: FromPath[str], queues: NamedDependency[QueueService]) -> QueueRead:
        """Back to what the code says."""
        await queues.limit_as_declared(queue)
        return read_queue(await queues.stats(queue))


class JobController(Controller):
    path = "/queues/{queue:str}/jobs"

    @get("/", permission=READ, sorts=SORTS, cached=QUEUE_ANSWERS)
    async def index(
        self,
        queue: FromPath[str],
        queues: NamedDependency[QueueService],
        pager: NamedDependency[Pager],
        wanted: NamedDependency[JobFilter],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> JobPage:
        """List jobs of one state or of `any`, newest first, without their payloads.

        `q` is a job's or a tenant's id, or a part of an error message or a kind; alone it searches every state. `from`
        and `to` take days or moments.
        """
        page = await queues.jobs(pager, queue, wanted, limit=limit, cursor=cursor)
        items = [item(row) for row in page.items]
        return JobPage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{job_id:uuid}", permission=READ, access=JOB_SEEN, cached=QUEUE_ANSWERS)
    async def show(
        self, queue: FromPath[str], job_id: FromPath[UUID], queues: NamedDependency[QueueService]
    ) -> JobRead:
        """Read a job with its payload, its error, every attempt, and the jobs that it waits for."""
        return read(await queues.job(queue, job_id))

    @post("/{job_id:uuid}/retry", permission=MANAGE, audit="owner.job.retry", status_code=200)
    async def retry(
        self, queue: FromPath[str], job_id: FromPath[UUID], queues: NamedDependency[QueueService]
    ) -> JobItem:
        """Run a dead job again, or a delayed one at once. 409 in any other state."""
        return item(await queues.retry(queue, job_id))

    @post("/{job_id:uuid}/cancellation", permission=MANAGE, audit="owner.job.cancel", status_code=200)
    async def cancel(
        self, queue: FromPath[str], job_id: FromPath[UUID], queues: NamedDependency[QueueService]
    ) -> JobItem:
        """End a job that waits, with all it waits for itself. An active one says `cancelRequestedAt` until it stops.

        409 where it has ended.
        """
        return item(await queues.cancel(queue, job_id))

    @post("/{job_id:uuid}/restoration", permission=MANAGE, audit="owner.job.restore", status_code=200)
    async def restore(
        self, queue: FromPath[str], job_id: FromPath[UUID], queues: NamedDependency[QueueService]
    ) -> JobItem:
        """Undo the removal of a job within ten minutes. It gets the state from before, or a new run if unfinished.

        409 where it is not in the trash any more.
        """
        return item(await queues.restore(queue, job_id))

    @delete("/{job_id:uuid}", permission=MANAGE, audit="owner.job.remove")
    async def remove(self, queue: FromPath[str], job_id: FromPath[UUID], queues: NamedDependency[QueueService]) -> None:
        """Take a job out of every list; for ten minutes a restoration undoes it. 409 while it runs."""
        await queues.remove(queue, job_id)


class DeadLetterController(Controller):
    path = "/queues/{queue:str}/dlq"

    @get("/", permission=READ, sorts=SORTS, cached=QUEUE_ANSWERS)
    async def index(
        self,
        queue: FromPath[str],
        queues: NamedDependency[QueueService],
        pager: NamedDependency[Pager],
        wanted: NamedDependency[JobFilter],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> DeadLetterPage:
        """List the dead letters of a queue, or of one `kind`, `fingerprint` or `tenantId`; `state` is not heard."""
        page = await queues.letters(pager, queue, wanted, limit=limit, cursor=cursor)
        items = [letter(row) for row in page.items]
        return DeadLetterPage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/groups", permission=READ, cached=QUEUE_ANSWERS)
    async def groups(self, queue: FromPath[str], queues: NamedDependency[QueueService]) -> LetterGroups:
        """List the causes of the queue's dead letters, the most frequent first, at most 100."""
        return LetterGroups(
            items=[convert(one, LetterGroup, from_attributes=True) for one in await queues.groups(queue)]
        )

    @post("/replays", permission=MANAGE, audit="owner.dlq.replay_many", status_code=200)
    async def replay_many(
        self, queue: FromPath[str], queues: NamedDependency[QueueService], data: JSONBody[LetterChoice]
    ) -> LettersDone:
        """Run many dead letters again, each once, however often this is asked; at most 1,000, oldest first."""
        return done(await queues.replay_letters(queue, data))

    @post("/removals", permission=MANAGE, audit="owner.dlq.remove_many", status_code=200)
    async def remove_many(
        self, queue: FromPath[str], queues: NamedDependency[QueueService], data: JSONBody[LetterChoice]
    ) -> LettersDone:
        """Remove many dead letters, at most 1,000, oldest first; for ten minutes they can be restored."""
        return done(await queues.remove_letters(queue, data))

    @post("/restorations", permission=MANAGE, audit="owner.dlq.restore_many", status_code=200)
    async def restore_many(
        self, queue: FromPath[str], queues: NamedDependency[QueueService], data: JSONBody[Removal]
    ) -> LettersDone:
        """Undo a removal of many dead letters within ten minutes. 409 where none of them can come back any more."""
        return done(await queues.restore_letters(queue, data))

    @post("/{job_id:uuid}/edit", permission=MANAGE, audit="owner.dlq.edit")
    async def edit(
        self,
        queue: FromPath[str],
        job_id: FromPath[UUID],
        queues: NamedDependency[QueueService],
        data: JSONBody[EditedPayload],
    ) -> Response[JobItem]:
        """Make a new job with another payload in place of a dead letter, which is removed. 409 where it is none."""
        made = await queues.edit_letter(queue, job_id, data.payload)
        where = f"/api/owner/queues/{queue}/jobs/{made.id}"
        return Response(item(made), status_code=201, headers={"Location": where})

    @post("/{job_id:uuid}/replay", permission=MANAGE, audit="owner.dlq.replay", status_code=200)
    async def replay(
        self, queue: FromPath[str], job_id: FromPath[UUID], queues: NamedDependency[QueueService]
    ) -> JobItem:
        """Run a dead letter again, once, however often this is asked: 409 where it is no dead letter any more."""
        return item(await queues.replay(queue, job_id))

    @delete("/{job_id:uuid}/remove", permission=MANAGE, audit="owner.dlq.remove")
    async def remove(self, queue: FromPath[str], job_id: FromPath[UUID], queues: NamedDependency[QueueService]) -> None:
        """Remove a dead letter. 409 where it is none any more."""
        await queues.remove_letter(queue, job_id)


class LoopController(Controller):
    path = "/loops"

    @get("/", permission=READ)
    async def index(self, queues: NamedDependency[QueueService]) -> LoopList:
        """List what the leading worker does for all, and whether any of it is late."""
        return read_loops(await queues.loops())
