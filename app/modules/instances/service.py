"""The rules of instances: how they start, how they are driven on, and what people may do with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.errors import Conflict, Invalid, NotFound
from app.core.events import Event
from app.core.ids import PLATFORM_TENANT, new_id
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import SYSTEM_ACTOR, Actor
from app.core.request import correlation_id
from app.modules.ai.events import TaskEnded
from app.modules.approvals.events import ApprovalEnded
from app.modules.approvals.service import ApprovalService, identity
from app.modules.approvals.service import Status as ApprovalStatus
from app.modules.audit.service import record
from app.modules.email.events import EmailEnded
from app.modules.instances import repository
from app.modules.instances.jobs import ExecuteWorkflowStep
from app.modules.instances.models import (
    MANUAL,
    UNFINISHED,
    Place,
    Status,
    StepStatus,
    WorkflowInstance,
    WorkflowStepExecution,
)
from app.modules.instances.repository import InstanceFilter
from app.modules.instances.schemas import INSTANCE_ANSWERS
from app.modules.plugins.events import DeliveryEnded
from app.modules.workflows.service import WorkflowDefinition, WorkflowService, first_step, listening, value_at
from app.queues.clock import clock
from app.queues.enqueue import Wanted, insert_rows, row_for
from app.queues.quota import require_room
from app.redis.cache import drop

__all__ = ["TOPIC", "InstanceFilter", "InstanceService", "Status"]
TOPIC = "instances"
AI_TASK, APPROVAL, DELIVERY, EMAIL = "ai_task:", "approval:", "delivery:", "email:"
"""Before the id, in what a step waits for."""
MOST_INPUT, DEEPEST_INPUT = 16_384, 20
"""Bytes as JSON, and lists and objects inside each other."""
SORTS = Sorts("-createdAt", {"createdAt": WorkflowInstance.id})


class InstanceService:
    """The instances that the session's transaction may see. They are a tenant's as a whole, not a workspace's."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def run(self, definition_id: UUID, given: dict[str, Any]) -> WorkflowInstance:
        """Start a workflow by hand.

        Raises:
            NotFound. Invalid (`input`): it cannot be kept. Conflict (`not_published`). QuotaExceeded.
        """
        _check_input(given)
        definition = await WorkflowService(self._session, self._actor).get(definition_id)
        await require_room(self._session, 1)
        return await start(self._session, self._actor, definition, given)

    async def get(self, instance_id: UUID) -> WorkflowInstance:
        """
        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        self._actor.for_whole_tenant("Workflows")
        found = await self._session.get(WorkflowInstance, instance_id)
        if found is None:
            raise NotFound("There is no workflow instance with this id")
        return found

    async def executions(self, instance_id: UUID) -> Sequence[WorkflowStepExecution]:
        """The oldest first."""
        return await repository.executions(self._session, instance_id)

    async def search(
        self, pager: Pager, wanted: InstanceFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[WorkflowInstance]:
        """Newest first."""
        self._actor.for_whole_tenant("Workflows")
        of = f"instances {scope_of(self._session).tenant_id} {wanted}"
        query = repository.fitting(wanted)
        key = WorkflowInstance.id
        return await pager.page(self._session, query, key=key, of=of, limit=limit, cursor=cursor, sorts=SORTS)

    async def cancel(self, instance_id: UUID) -> WorkflowInstance:
        """End it where it is. What it has asked of other queues goes on, and nobody waits for it.

        Raises:
            NotFound. Conflict (`finished`).
        """
        instance = await self._unfinished(instance_id)
        await end(self._session, instance, Status.CANCELLED)
        return await self._done("instance.cancel", instance)

    async def pause(self, instance_id: UUID) -> WorkflowInstance:
        """Let it go no further than it is.

        Raises:
            NotFound. Conflict (`finished`, `paused`).
        """
        instance = await self._unfinished(instance_id)
        if instance.status == Status.PAUSED:
            raise Conflict("This instance is paused already", code="paused")
        instance.status = Status.PAUSED
        return await self._done("instance.pause", instance)

    async def resume(self, instance_id: UUID) -> WorkflowInstance:
        """Let it go on. A time that has come meanwhile has come.

        Raises:
            NotFound. Conflict (`not_paused`).
        """
        instance = await self._unfinished(instance_id)
        if instance.status != Status.PAUSED:
            raise Conflict("This instance is not paused", code="not_paused")
        instance.status = Status.WAITING if instance.wake_at else _beginning(instance)
        await go_on(self._session, instance)
        if instance.wake_at and instance.wake_at > clock.moment():
            await go_on(self._session, instance, at=instance.wake_at)
        return await self._done("instance.resume", instance)

    async def retry(self, instance_id: UUID) -> WorkflowInstance:
        """Try the step again at which it failed, with all its tries.

        Raises:
            NotFound. Conflict (`not_failed`).
        """
        instance = await self._locked(instance_id)
        if instance.status != Status.FAILED:
            raise Conflict("Only what has failed can be retried", code="not_failed")
        again(instance)
        instance.attempt += 1
        instance.first_attempt = instance.attempt
        await go_on(self._session, instance)
        return await self._done("instance.retry", instance)

    async def restart(self, instance_id: UUID, step: str | None = None) -> WorkflowInstance:
        """A new instance of the workflow as it is now, with the same input.

        Args:
            step: that it begins at instead, in the version that the old instance had: what came of the steps before
                is kept, and they are not run again.

        Raises:
            NotFound. Invalid (`step`): the instance did not come to such a step. Conflict (`not_published`).
            Conflict (`unfinished`): the instance itself may still come to the step. QuotaExceeded.
        """
        old = await self.get(instance_id)
        definition = await WorkflowService(self._session, self._actor).get(old.definition_id)
        await require_room(self._session, 1)
        if step is None:
            return await start(self._session, self._actor, definition, old.input, restarted_from=old.id)
        if old.status in UNFINISHED:
            raise Conflict("This instance is under way: cancel it first", code="unfinished")
        run = await repository.executions(self._session, old.id)
        if step not in {one.step_key for one in run}:
            raise Invalid.field("step", "must be the key of a step to which the instance came")
        done = list(takewhile(lambda one: one.step_key != step, run))
        kept = {one.step_key: old.steps[one.step_key] for one in done if one.step_key in old.steps}
        begin = Begin(old.version_id, step, kept)
        return await start(self._session, self._actor, definition, old.input, restarted_from=old.id, begin=begin)

    async def _unfinished(self, instance_id: UUID) -> WorkflowInstance:
        instance = await self._locked(instance_id)
        if instance.status not in UNFINISHED:
            raise Conflict(f"This instance is {instance.status}", code="finished")
        return instance

    async def _locked(self, instance_id: UUID) -> WorkflowInstance:
        await self.get(instance_id)
        instance = await repository.locked(self._session, instance_id)
        assert instance is not None  # rows go with their tenant only
        return instance

    async def _done(self, action: str, instance: WorkflowInstance) -> WorkflowInstance:
        await self._session.flush()
        await trace(self._session, self._actor, action, instance)
        announce(self._session, instance)
        return instance


@dataclass(frozen=True, slots=True)
class Begin:
    """Where an instance begins that does not at its first step: the version, the step, what came of those before."""

    version_id: UUID
    step: str
    steps: dict[str, Any]


async def start(
    session: AsyncSession,
    actor: Actor,
    definition: WorkflowDefinition,
    given: dict[str, Any],
    *,
    trigger: str = MANUAL,
    subject: str = "",
    restarted_from: UUID | None = None,
    begin: Begin | None = None,
) -> WorkflowInstance:
    """A new instance of the active version, unless it is to begin elsewhere; its first job is in this transaction.

    Raises:
        Conflict (`not_published`).
    """
    graph = await WorkflowService(session, actor).active_graph(definition)
    assert definition.active_version_id is not None  # it has a graph
    one = None if graph.one_per is None else value_at({"input": given}, graph.one_per)
    version_id = definition.active_version_id if begin is None else begin.version_id
    instance = WorkflowInstance(
        id=new_id(),
        tenant_id=definition.tenant_id,
        definition_id=definition.id,
        version_id=version_id,
        status=Status.PENDING,
        trigger=trigger,
        input=given,
        steps={} if begin is None else begin.steps,
        subject=subject or str(given.get("articleId") or ""),
        correlation_id=correlation_id(),
        concurrency_key=None if one is None else str(one),
        started_by=identity(actor),
        label=actor.label,
        restarted_from=restarted_from,
        step=await first_step(session, version_id) if begin is None else begin.step,
        iteration=1,
        attempt=1,
        first_attempt=1,
        tries=0,
    )
    session.add(instance)
    await session.flush()
    await go_on(session, instance)
    await trace(session, actor, "instance.start", instance)
    announce(session, instance)
    return instance


async def go_on(session: AsyncSession, instance: WorkflowInstance, *, at: datetime | None = None) -> None:
    """Ask for the job that drives an instance on from its place, at once or at a time."""
    await _drive(session, instance, instance.place, at)


async def _drive(session: AsyncSession, instance: WorkflowInstance, place: Place, at: datetime | None = None) -> None:
    job = ExecuteWorkflowStep(instance_id=instance.id, **place._asdict())
    # The instance's tenant and chain of cause and effect, also where the platform or an approver acts.
    values = {"tenant_id": instance.tenant_id, "correlation_id": instance.correlation_id}
    await insert_rows(session, [row_for(session, Wanted(job=job, run_at=at), **values)])


async def end(
    session: AsyncSession, instance: WorkflowInstance, status: Status, error: tuple[str, str] | None = None
) -> None:
    """Nothing more happens with it; whoever has waited for its end is next."""
    instance.status, instance.finished_at, instance.wake_at = status, datetime.now(UTC), None
    instance.error_code, instance.error_message = error or (None, None)
    open_ = await repository.open_execution(session, instance.id)
    if open_ is not None:
        open_.status, open_.finished_at = StepStatus.CANCELLED, datetime.now(UTC)
        await session.flush()
        if open_.waiting_for and open_.waiting_for.startswith(APPROVAL):
            asked = UUID(open_.waiting_for.removeprefix(APPROVAL))
            await ApprovalService(session, SYSTEM_ACTOR).close(asked, ApprovalStatus.CANCELLED)
    await session.flush()
    if instance.concurrency_key is not None:
        await repository.take_turns(session, instance.definition_id, instance.concurrency_key)
        following = await repository.in_turn(session, instance.definition_id, instance.concurrency_key)
        if following is not None:
            await go_on(session, following)


def again(instance: WorkflowInstance) -> None:
    """Let go on what has failed. Another one with its key may have begun meanwhile, so it takes its turn anew."""
    instance.tries, instance.finished_at = 0, None
    instance.error_code = instance.error_message = None
    instance.status = _beginning(instance)


def _beginning(instance: WorkflowInstance) -> Status:
    waits_its_turn = instance.concurrency_key is not None and instance.tries == 0
    return Status.PENDING if waits_its_turn else Status.RUNNING


def announce(session: AsyncSession, instance: WorkflowInstance) -> None:
    signal(session, TOPIC, instance.id, instance.tenant_id)
    drop(session, *INSTANCE_ANSWERS.tags)


async def trace(session: AsyncSession, actor: Actor, action: str, instance: WorkflowInstance) -> None:
    """The audit log's line, which names the workflow: an instance has no name of its own."""
    name = (await repository.workflow_names(session, {instance.definition_id})).get(instance.definition_id)
    after = {"status": str(instance.status), "step": instance.step, "workflow": str(instance.definition_id)}
    after |= instance.error or {}
    resource = ("workflow_instance", instance.id, name)
    outcome: Any = "failed" if instance.status == Status.FAILED else "success"
    await record(session, actor, action, resource=resource, after=after, tenant_id=instance.tenant_id, outcome=outcome)


async def on_fact(session: AsyncSession, event: Event) -> None:
    """Start the workflows of the fact's tenant that are on it.

    One that follows from an instance of the same workflow about the same article starts nothing, so that no workflow
    keeps itself running: what an instance causes carries its correlation id, through every job.
    """
    given: dict[str, Any] = msgspec.to_builtins(event)
    scope = scope_of(session)
    if scope.plane is Plane.SYSTEM or scope.tenant_id == PLATFORM_TENANT:
        return
    actor: Actor = session.info.get("actor") or SYSTEM_ACTOR
    chain = correlation_id()
    subject = str(getattr(event, "article_id", ""))
    for definition in await listening(session, scope.tenant_id, event.topic):
        if chain is not None:
            await repository.take_turns(session, definition.id, f"{chain} {subject}")
            if await repository.follows_from(session, definition.id, chain, subject):
                continue
        await start(session, actor, definition, given, trigger=event.topic, subject=subject)


async def on_approval(session: AsyncSession, event: ApprovalEnded) -> None:
    await wake(session, f"{APPROVAL}{event.approval_id}")


async def on_task(session: AsyncSession, event: TaskEnded) -> None:
    await wake(session, f"{AI_TASK}{event.task_id}")


async def on_delivery(session: AsyncSession, event: DeliveryEnded) -> None:
    await wake(session, f"{DELIVERY}{event.delivery_id}")


async def on_email(session: AsyncSession, event: EmailEnded) -> None:
    await wake(session, f"{EMAIL}{event.email_id}")


async def wake(session: AsyncSession, what: str) -> None:
    """What somebody waits for has ended: drive on whoever does. They look for themselves what became of it."""
    for instance, execution in await repository.waiting_for(session, what):
        await _drive(session, instance, Place(execution.step_key, execution.iteration, execution.attempt))


def _check_input(given: dict[str, Any]) -> None:
    """
    Raises:
        Invalid (`input`).
    """
    layer: list[Any] = [given]
    for _ in range(DEEPEST_INPUT):
        layer = [value for one in layer for value in (one.values() if isinstance(one, dict) else one)]
        layer = [value for value in layer if isinstance(value, (dict, list))]
    if layer:
        raise Invalid.field("input", f"must not be more than {DEEPEST_INPUT} levels deep")
    text = msgspec.json.encode(given)
    if len(text) > MOST_INPUT:
        raise Invalid.field("input", f"must have at most {MOST_INPUT} bytes as JSON")
    if b"\\u0000" in text:
        raise Invalid.field("input", "holds the character U+0000, which cannot be stored")
