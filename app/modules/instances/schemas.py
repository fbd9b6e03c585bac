"""Instances of workflows and their steps on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Raw, convert, field

from app.core.access import Access
from app.core.wire import Incoming, Outgoing, Sensitive
from app.modules.instances.models import Status, StepStatus, WorkflowInstance, WorkflowStepExecution
from app.redis.cached import Cached

INSTANCE_SEEN = Access(
    "owner.read.workflow_instance", "workflow_instance", of="instance_id", fields=("input", "steps", "executions")
)
INSTANCE_ANSWERS = Cached("owner", "instances", "answers", Raw, 30, ("instances",), "Workflow instances, over the API.")


class RunRequest(Incoming):
    """What the workflow is to work with: `{"articleId": "…"}` for those that are about an article."""

    input: dict[str, Any] = field(default_factory=dict)


class RunForm(Incoming):
    """The same from a page, as text."""

    input: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


class InstanceRestart(Incoming):
    """The key of the step at which the new instance begins; without one it begins at the first."""

    step: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class RestartForm(Incoming):
    """The same from a page."""

    step: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


class StepError(Outgoing):
    """Why it failed: a stable word, and a sentence."""

    code: str
    message: str


class InstanceRead(Outgoing):
    """One run of a workflow. `step` is where it is, or where it ended; `trigger` is "manual" or the fact."""

    id: UUID
    tenant_id: UUID
    definition_id: UUID
    version_id: UUID
    status: Status
    trigger: str
    subject: str
    step: str
    iteration: int
    attempt: int
    label: str
    restarted_from: UUID | None
    correlation_id: UUID | None
    concurrency_key: str | None
    wake_at: datetime | None
    error: StepError | None
    created_at: datetime
    finished_at: datetime | None
    version: int


class ExecutionRead(Outgoing):
    """One try at a step. While it waits, `waitingFor` names what for: "approval:…", "ai_task:…" or "clock"."""

    id: UUID
    step_key: str
    type: str
    iteration: int
    attempt: int
    status: StepStatus
    input: dict[str, Any]
    output: dict[str, Any] | None
    error: StepError | None
    waiting_for: str | None
    job_id: UUID
    next_retry_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    duration_ms: int | None


class _Detail(InstanceRead):
    """With what it works with, and each try at each step, the oldest first."""

    input: dict[str, Any]
    steps: dict[str, Any]
    executions: list[ExecutionRead]


class InstanceDetail(_Detail):
    """One run, for its tenant."""


class InstanceOwned(_Detail, Sensitive):
    """One run as the owner sees it."""


class InstancePage(Outgoing):
    """A page of instances, newest first, without what they work with."""

    items: Sequence[InstanceRead]
    next_cursor: str | None
    prev_cursor: str | None


def item(row: WorkflowInstance) -> InstanceRead:
    return convert(row, InstanceRead, from_attributes=True)


def detail(row: WorkflowInstance, executions: Sequence[WorkflowStepExecution]) -> dict[str, Any]:
    """The fields of the two shapes above."""
    shown = item(row)
    fields = {name: getattr(shown, name) for name in InstanceRead.__struct_fields__}
    tries = [convert(one, ExecutionRead, from_attributes=True) for one in executions]
    return fields | {"input": row.input, "steps": row.steps, "executions": tries}
