"""The queue console: what can be seen of the queues and done to them. Every act is audited in its transaction."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from msgspec import to_builtins
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import plan_anew
from app.core.errors import Conflict, Invalid, NotFound
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.wire import reason_of
from app.modules.audit.service import Resource, record, tenant_names
from app.modules.queues import repository
from app.modules.queues.repository import JobFilter as JobFilter
from app.modules.queues.schemas import (
    QUEUE_ANSWERS,
    JobSeen,
    LetterChoice,
    LimitsChange,
    QueueTenants,
    Removal,
    read_loads,
)
from app.modules.queues.schemas import JobState as JobState
from app.modules.queues.schemas import state_of as state_of  # what lists jobs elsewhere says the same words
from app.queues import control, counts, lag, letters, trash
from app.queues.cancel import cancel
from app.queues.counts import QueueOverview
from app.queues.job import declared
from app.queues.lag import Lags
from app.queues.letters import Done, Group
from app.queues.loads import loads
from app.queues.models import JobRow, State
from app.queues.push import queues_of
from app.redis.cache import drop

MOST_TENANTS = 100
SORTS = Sorts("-createdAt", {"createdAt": JobRow.id})


class QueueService:
    """Queues go by the names people know, `ai:content`. A job is found under its own queue only."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def overview(self) -> list[QueueOverview]:
        return await counts.overview(self._session)

    async def stats(self, queue: str) -> QueueOverview:
        """
        Raises:
            NotFound (`unknown_queue`): no such queue is declared. Every method with a queue raises it.
        """
        control.spec_of(self._session, queue)
        return (await counts.overview(self._session, [queue]))[0]

    async def tenants(self, queue: str, most: int = 10) -> QueueTenants:
        """The tenants with most work in the queue.

        Raises:
            Invalid: `limit` is not from 1 to 100.
        """
        control.spec_of(self._session, queue)
        if not 1 <= most <= MOST_TENANTS:
            raise Invalid.field("limit", f"must be from 1 to {MOST_TENANTS}")
        found = await loads(self._session, queue, most)
        names = await tenant_names(self._session, (one.tenant_id for one in found.tenants))
        return read_loads(found, names)

    async def loops(self) -> Lags:
        """Who leads the loops, and how each of them fares."""
        return await lag.read(self._session)

    async def jobs(
        self, pager: Pager, queue: str, wanted: JobFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[JobRow]:
        """Newest first, or as the reader wants, without payloads."""
        control.spec_of(self._session, queue)
        query, of = repository.jobs(queue, wanted), f"jobs {queue} {wanted}"
        branches = repository.branches(wanted, [one.kind for one in declared() if one.queue == queue])
        if wanted.text is not None:
            await plan_anew(self._session)
        return await pager.page(
            self._session, query, key=JobRow.id, of=of, limit=limit, cursor=cursor, branches=branches, sorts=SORTS
        )

    async def letters(
        self, pager: Pager, queue: str, wanted: JobFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[JobRow]:
        """The queue's dead letters, newest job first."""
        return await self.jobs(pager, queue, replace(wanted, state=JobState.FAILED), limit=limit, cursor=cursor)

    async def groups(self, queue: str) -> list[Group]:
        """The causes of the queue's dead letters, the most frequent first."""
        control.spec_of(self._session, queue)
        return await letters.groups(self._session, queue)

    async def job(self, queue: str, job_id: UUID) -> JobSeen:
        """
        Raises:
            NotFound: the queue has no such job.
        """
        row = await self._job(queue, job_id)
        others = await repository.places(self._session, {id_ for id_ in (row.parent_id, row.edited_from) if id_})
        return JobSeen(
            row,
            await repository.attempts(self._session, job_id),
            await repository.flow(self._session, job_id) if row.children else [],
            others.get(row.parent_id) if row.parent_id else None,
            others.get(row.edited_from) if row.edited_from else None,
            await repository.edited_to(self._session, job_id) if row.removed_from else None,
            queues_of(self._session).kinds.limit_s(row.kind, control.spec_of(self._session, queue)),
        )

    async def pause(self, queue: str, reason: str | None) -> None:
        """Start nothing more; active jobs end, new ones wait.

        Raises:
            Conflict (`already_paused`).
        """
        reason = reason_of(reason)
        await control.pause(self._session, queue, by=self._actor.label, reason=reason)
        await self._trace_queue("owner.queue.pause", queue, paused=True, reason=reason)

    async def resume(self, queue: str, reason: str | None = None) -> None:
        """
        Raises:
            Conflict (`not_paused`).
        """
        await control.resume(self._session, queue)
        await self._trace_queue("owner.queue.resume", queue, paused=False, reason=reason_of(reason))

    async def limit(self, queue: str, change: LimitsChange) -> None:
        """Set what the queue may do over all worker processes together. Workers obey within two seconds."""
        before = await self.stats(queue)
        await control.limit(self._session, queue, change.over(before.limits))
        await self._trace_limits(queue, before)

    async def limit_as_declared(self, queue: str) -> None:
        """Back to what the code says."""
        before = await self.stats(queue)
        await control.limit(self._session, queue, None)
        await self._trace_limits(queue, before)

    async def retry(self, queue: str, job_id: UUID) -> JobRow:
        """Run a dead job again, or one that waits for its time at once.

        Raises:
            NotFound; Conflict (`not_retryable`): it is in another state.
        """
        row = await self._job(queue, job_id, lock=True)
        before = _seen(row)
        await control.retry(self._session, row)
        return await self._trace_job("owner.job.retry", row, before)

    async def remove(self, queue: str, job_id: UUID) -> JobRow:
        """Take a job out of every list.

        Raises:
            NotFound; Conflict (`not_removable`): it runs just now, or was removed before.
        """
        row = await self._job(queue, job_id, lock=True)
        before = _seen(row)
        await control.remove(self._session, row)
        return await self._trace_job("owner.job.remove", row, before)

    async def cancel(self, queue: str, job_id: UUID) -> JobRow:
        """End a job that waits, with a parent all of its flow; an active one ends when its worker has stopped it.

        Raises:
            NotFound; Conflict (`not_cancellable`): it has ended.
        """
        row = await self._job(queue, job_id)
        before = _seen(row)
        await cancel(self._session, row, by=self._actor.label)
        return await self._trace_job("owner.job.cancel", row, before)

    async def restore(self, queue: str, job_id: UUID) -> JobRow:
        """Undo a removal, within ten minutes.

        Raises:
            NotFound; Conflict: it is not in the trash any more (`not_in_trash`), or its work was asked for again
                since and is unfinished (`key_taken`).
        """
        row = await self._job(queue, job_id, lock=True)
        before = _seen(row)
        await trash.restore(self._session, row)
        return await self._trace_job("owner.job.restore", row, before)

    async def replay_letters(self, queue: str, choice: LetterChoice) -> Done:
        """Run dead letters again, at most 1,000 at once, oldest first.

        Raises:
            Invalid: nothing was chosen.
        """
        control.spec_of(self._session, queue)
        found = await letters.replay_all(self._session, queue, _which(choice))
        return await self._trace_letters("owner.dlq.replay_many", queue, choice, found)

    async def remove_letters(self, queue: str, choice: LetterChoice) -> Done:
        """Put dead letters into the trash, at most 1,000 at once, oldest first.

        Raises:
            Invalid: nothing was chosen.
        """
        control.spec_of(self._session, queue)
        found = await letters.remove_letters(self._session, queue, _which(choice))
        return await self._trace_letters("owner.dlq.remove_many", queue, choice, found)

    async def restore_letters(self, queue: str, removal: Removal) -> Done:
        """Undo a removal of many dead letters, within ten minutes.

        Raises:
            Conflict (`not_in_trash`): none of them is there any more.
        """
        control.spec_of(self._session, queue)
        found = await letters.restore_letters(self._session, queue, removal.removed_at)
        return await self._trace_letters("owner.dlq.restore_many", queue, removal, found)

    async def edit_letter(self, queue: str, job_id: UUID, payload: dict[str, Any]) -> JobRow:
        """A new job with this payload in place of a dead letter, which is removed.

        Returns:
            the new job.

        Raises:
            NotFound; Conflict (`not_dead`, `unknown_kind`, `key_taken`); Invalid: the payload does not fit the kind.
        """
        row = await self._letter(queue, job_id)
        before = {"payload": row.payload}
        new = await repository.job(self._session, queue, await letters.edit(self._session, row, payload))
        assert new is not None
        resource = ("job", row.id, f"{row.kind} in {row.queue}")
        after = {"payload": new.payload, "edited_to": str(new.id)}
        await self._trace("owner.dlq.edit", resource, before, after, tenant_id=row.tenant_id)
        return new

    async def replay(self, queue: str, job_id: UUID) -> JobRow:
        """Run a dead letter again.

        Raises:
            NotFound; Conflict (`not_dead`): it was replayed or removed before.
        """
        row = await self._letter(queue, job_id)
        before = _seen(row)
        await control.replay(self._session, row)
        return await self._trace_job("owner.dlq.replay", row, before)

    async def remove_letter(self, queue: str, job_id: UUID) -> JobRow:
        """
        Raises:
            NotFound; Conflict (`not_dead`): it was replayed or removed before.
        """
        row = await self._letter(queue, job_id)
        before = _seen(row)
        await control.remove(self._session, row)
        return await self._trace_job("owner.dlq.remove", row, before)

    async def _job(self, queue: str, job_id: UUID, *, lock: bool = False) -> JobRow:
        control.spec_of(self._session, queue)
        row = await repository.job(self._session, queue, job_id, lock=lock)
        if row is None:
            raise NotFound(f"The queue {queue} has no job with this id")
        return row

    async def _letter(self, queue: str, job_id: UUID) -> JobRow:
        row = await self._job(queue, job_id, lock=True)
        if row.state != State.DEAD:
            raise Conflict(f"This is no dead letter any more; it is {state_of(row)}", code="not_dead")
        return row

    async def _trace_job(self, action: str, row: JobRow, before: dict[str, Any]) -> JobRow:
        await self._session.refresh(row)
        resource = ("job", row.id, f"{row.kind} in {row.queue}")
        await self._trace(action, resource, before, _seen(row), tenant_id=row.tenant_id)
        return row

    async def _trace_letters(self, action: str, queue: str, choice: LetterChoice | Removal, found: Done) -> Done:
        """One row for one act: what was asked for, and each job that it met; several tenants' stays the platform's."""
        asked = {name: value for name, value in to_builtins(choice).items() if value and name != "ids"}
        met = {"jobs": [str(row.id) for row in found.rows], "count": len(found.rows), "left": found.left}
        whose = {row.tenant_id for row in found.rows}
        tenant_id = whose.pop() if len(whose) == 1 else None
        await self._trace(action, ("queue", queue, queue), {}, asked | met, tenant_id=tenant_id)
        return found

    async def _trace_limits(self, queue: str, before: QueueOverview) -> None:
        await self._session.flush()
        after = await self.stats(queue)
        changes = [to_builtins(one.limits) | {"declared": not one.limits_changed} for one in (before, after)]
        await self._trace("owner.queue.limit", ("queue", queue, queue), changes[0], changes[1])

    async def _trace_queue(self, action: str, queue: str, *, paused: bool, reason: str | None) -> None:
        before, after = {"paused": not paused}, {"paused": paused}
        await self._trace(action, ("queue", queue, queue), before, after, reason)

    async def _trace(
        self,
        action: str,
        resource: Resource,
        before: dict[str, Any],
        after: dict[str, Any],
        reason: str | None = None,
        tenant_id: UUID | None = None,
    ) -> None:
        changes: dict[str, Any] = {"before": before, "after": after, "reason": reason}
        await record(self._session, self._actor, action, resource=resource, tenant_id=tenant_id, **changes)
        drop(self._session, *QUEUE_ANSWERS.tags)


def _seen(row: JobRow) -> dict[str, Any]:
    return {"state": str(state_of(row)), "run": row.run + 1, "attempts": row.attempts_made}


def _which(choice: LetterChoice) -> letters.Which:
    which = letters.Which(choice.ids, choice.kind or None, choice.fingerprint or None, choice.tenant_id)
    if "\0" in f"{which.kind}{which.fingerprint}":
        raise Invalid("kind and fingerprint must not contain the character U+0000")
    if not choice.all and which == letters.Which():
        raise Invalid.field("ids", "say which: ids, kind, fingerprint, tenantId, or all")
    return which
