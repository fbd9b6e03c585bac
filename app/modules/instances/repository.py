"""Queries on instances and their steps."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, column, func, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ids import floor_id
from app.core.locks import hold
from app.core.signs import Sign, Weight, counted
from app.core.trace import MOST_STEPS, Step
from app.modules.instances.models import Place, Status, StepStatus, WorkflowInstance, WorkflowStepExecution

# Tables of modules below, by name: their models are their own.
_DEFINITION = table("workflow_definition", column("id"), column("name"))
MOST_NAMES = 500


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """Which instances; None means any."""

    status: Status | None = None
    tenant_id: UUID | None = None
    definition_id: UUID | None = None
    trigger: str | None = None
    correlation_id: UUID | None = None


def fitting(wanted: InstanceFilter) -> Select[tuple[WorkflowInstance]]:
    pairs = (
        (WorkflowInstance.status, wanted.status),
        (WorkflowInstance.tenant_id, wanted.tenant_id),
        (WorkflowInstance.definition_id, wanted.definition_id),
        (WorkflowInstance.trigger, wanted.trigger),
        (WorkflowInstance.correlation_id, wanted.correlation_id),
    )
    return select(WorkflowInstance).where(*(of == value for of, value in pairs if value is not None))


async def locked(session: AsyncSession, instance_id: UUID) -> WorkflowInstance | None:
    query = select(WorkflowInstance).where(WorkflowInstance.id == instance_id).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()


async def executions(session: AsyncSession, instance_id: UUID) -> Sequence[WorkflowStepExecution]:
    """The oldest first."""
    query = select(WorkflowStepExecution).where(WorkflowStepExecution.instance_id == instance_id)
    return (await session.scalars(query.order_by(WorkflowStepExecution.id))).all()


async def open_execution(session: AsyncSession, instance_id: UUID) -> WorkflowStepExecution | None:
    """The one that waits; an instance has one at most."""
    query = select(WorkflowStepExecution).where(
        WorkflowStepExecution.instance_id == instance_id, WorkflowStepExecution.status == StepStatus.WAITING
    )
    return (await session.scalars(query)).one_or_none()


async def was_at(session: AsyncSession, instance_id: UUID, place: Place) -> bool:
    """Whether the step has begun there."""
    query = select(WorkflowStepExecution.id).filter_by(
        instance_id=instance_id, step_key=place.step, iteration=place.iteration, attempt=place.attempt
    )
    return await session.scalar(query.limit(1)) is not None


async def waiting_for(session: AsyncSession, what: str) -> Sequence[tuple[WorkflowInstance, WorkflowStepExecution]]:
    query = (
        select(WorkflowInstance, WorkflowStepExecution)
        .join(WorkflowStepExecution, WorkflowStepExecution.instance_id == WorkflowInstance.id)
        .where(WorkflowStepExecution.waiting_for == what, WorkflowStepExecution.status == StepStatus.WAITING)
    )
    return [(row[0], row[1]) for row in await session.execute(query)]


async def last_iteration(session: AsyncSession, instance_id: UUID, step: str) -> int:
    """How often an instance has been at a step."""
    query = select(func.coalesce(func.max(WorkflowStepExecution.iteration), 0)).where(
        WorkflowStepExecution.instance_id == instance_id, WorkflowStepExecution.step_key == step
    )
    return int((await session.execute(query)).scalar_one())


async def take_turns(session: AsyncSession, definition_id: UUID, key: str) -> None:
    """Let nobody else look who is next with this key until the transaction ends."""
    await hold(session, f"workflow {definition_id} {key}")


async def in_turn(session: AsyncSession, definition_id: UUID, key: str) -> WorkflowInstance | None:
    """The unfinished instance with this key whose turn it is: the one that has begun, else the oldest."""
    query = select(WorkflowInstance).where(
        WorkflowInstance.definition_id == definition_id,
        WorkflowInstance.concurrency_key == key,
        WorkflowInstance.finished_at.is_(None),
    )
    return (
        await session.scalars(query.order_by(WorkflowInstance.tries == 0, WorkflowInstance.id).limit(1))
    ).one_or_none()


async def follows_from(session: AsyncSession, definition_id: UUID, correlation_id: UUID, subject: str) -> bool:
    """Whether an instance of this workflow is about the same thing in the same chain of cause and effect."""
    query = select(WorkflowInstance.id).where(
        WorkflowInstance.definition_id == definition_id,
        WorkflowInstance.correlation_id == correlation_id,
        WorkflowInstance.subject == subject,
    )
    return await session.scalar(query.limit(1)) is not None


async def workflow_names(session: AsyncSession, ids: Collection[UUID] | None = None) -> dict[UUID, str]:
    """Of these workflows, or of the first 500, in the order of names."""
    query = select(_DEFINITION.c.id, _DEFINITION.c.name).order_by(_DEFINITION.c.name).limit(MOST_NAMES)
    query = query.where(_DEFINITION.c.id.in_(ids)) if ids is not None else query
    return {row.id: row.name for row in await session.execute(query)}


async def steps(session: AsyncSession, trace_id: UUID) -> list[Step]:
    """The instances of one chain of cause and effect, and each try at each of their steps."""
    query = select(WorkflowInstance).where(WorkflowInstance.correlation_id == trace_id).order_by(WorkflowInstance.id)
    found = {row.id: row for row in await session.scalars(query.limit(MOST_STEPS))}
    called = await workflow_names(session, {row.definition_id for row in found.values()})
    told = [_step("workflow", called.get(row.definition_id, "Workflow"), row, row.id) for row in found.values()]
    tries = select(WorkflowStepExecution).where(WorkflowStepExecution.instance_id.in_(found))
    for row in await session.scalars(tries.order_by(WorkflowStepExecution.id).limit(MOST_STEPS)):
        told.append(_step("workflow step", f"{row.step_key}, {row.type.replace('_', ' ')}", row, row.instance_id))
    return told


def _step(kind: str, label: str, row: WorkflowInstance | WorkflowStepExecution, instance_id: UUID) -> Step:
    return Step(
        kind,
        label,
        row.status,
        row.created_at,
        row.finished_at,
        open=row.finished_at is None,
        note=row.error_message,
        path=f"/workflows/instances/{instance_id}",
        tenant_id=row.tenant_id,
    )


async def signs(session: AsyncSession) -> list[Sign]:
    """What became of the workflows that began within a day."""
    since = datetime.now(UTC) - timedelta(days=1)
    query = select(WorkflowInstance.status, func.count()).where(WorkflowInstance.id >= floor_id(since))
    rows = await session.execute(query.group_by(WorkflowInstance.status))
    counts = {row[0]: row[1] for row in rows}
    failed, begun = counts.get(Status.FAILED, 0), sum(counts.values())
    value, here = f"{begun:,}", "/workflows/instances"
    if failed:
        text = f"{failed:,} of {counted(begun, 'workflow')} failed since yesterday"
        return [Sign("Workflows", value, text, Weight.WARN, f"{here}?status={Status.FAILED}")]
    return [Sign("Workflows", value, f"{counted(begun, 'workflow')} begun in 24 hours", Weight.OK, here)]
