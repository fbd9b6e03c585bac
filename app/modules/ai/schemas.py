"""AI's tasks, runs, messages and events on the wire."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID

from app.core.paging import Page
from app.core.wire import Incoming, Outgoing
from app.modules.ai.models import AiEventLog, AiMessage, AiRun, AiTask, RunStatus, TaskStatus

T = TypeVar("T")
R = TypeVar("R")


class SummaryRequest(Incoming):
    """Nothing to choose yet: an empty object, or no body at all."""


class AiError(Outgoing):
    """Why it failed: a stable word, and a sentence."""

    code: str
    message: str


class SummaryResult(Outgoing):
    """What was written, and which provider did."""

    summary: str
    keywords: list[str]
    provider: str


class AiTaskRead(Outgoing):
    """One task. `status` is queued, running, completed or failed; `version` is also its ETag."""

    id: UUID
    kind: str
    status: TaskStatus
    article_id: UUID
    requested_by: str
    result: SummaryResult | None
    error: AiError | None
    created_at: datetime
    finished_at: datetime | None
    version: int


class AiTaskOwned(AiTaskRead):
    """One task as the owner sees it."""

    tenant_id: UUID
    job_id: UUID
    correlation_id: UUID | None


class TokenUsage(Outgoing):
    """Tokens, each counted in one field only."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int


class AiRunRead(Outgoing):
    """One try at a task. `cost` is in US dollars, null where the provider did not say."""

    id: UUID
    tenant_id: UUID
    task_id: UUID
    attempt: int
    provider: str
    model: str | None
    status: RunStatus
    usage: TokenUsage | None
    cost: str | None
    error: AiError | None
    created_at: datetime
    finished_at: datetime | None
    duration_ms: int | None


class AiMessageRead(Outgoing):
    """One message of a run, in the order of `seq`."""

    id: UUID
    tenant_id: UUID
    run_id: UUID
    seq: int
    role: str
    parts: list[dict[str, Any]]
    sha256: str
    created_at: datetime


class AiEventRead(Outgoing):
    """One thing that happened in a run."""

    id: UUID
    tenant_id: UUID
    run_id: UUID
    seq: int
    type: str
    level: str
    payload: dict[str, Any]
    created_at: datetime


class Listed(Outgoing, Generic[T]):
    """A page of a list, newest first. A cursor is null where there is nothing on that side."""

    items: list[T]
    next_cursor: str | None
    prev_cursor: str | None


def listed(page: Page[R], read: Callable[[R], T]) -> Listed[T]:
    return Listed(
        items=[read(row) for row in page.items], next_cursor=page.next_cursor, prev_cursor=page.prev_cursor
    )


def task(row: AiTask) -> AiTaskRead:
    return AiTaskRead(**_task(row))


def owned_task(row: AiTask) -> AiTaskOwned:
    return AiTaskOwned(
        **_task(row), tenant_id=row.tenant_id, job_id=row.job_id, correlation_id=row.correlation_id
    )


def _task(row: AiTask) -> dict[str, Any]:
    names = ("id", "kind", "article_id", "requested_by", "created_at", "finished_at", "version")
    return {name: getattr(row, name) for name in names} | {
        "status": TaskStatus(row.status),
        "result": SummaryResult(**row.result) if row.result else None,
        "error": _error(row),
    }


def run(row: AiRun) -> AiRunRead:
    names = ("id", "tenant_id", "task_id", "attempt", "provider", "model", "created_at", "finished_at")
    return AiRunRead(
        **{name: getattr(row, name) for name in names},
        status=RunStatus(row.status),
        usage=TokenUsage(**row.usage) if row.usage else None,
        cost=cost(row.cost),
        error=_error(row),
        duration_ms=row.duration_ms,
    )


def message(row: AiMessage) -> AiMessageRead:
    return AiMessageRead(**{name: getattr(row, name) for name in AiMessageRead.__struct_fields__})


def event(row: AiEventLog) -> AiEventRead:
    return AiEventRead(**{name: getattr(row, name) for name in AiEventRead.__struct_fields__})


def cost(value: Decimal | None) -> str | None:
    """US dollars as plain decimal digits: "0.00042", never "4.2E-4"."""
    return None if value is None else f"{value.normalize():f}"


def _error(row: AiTask | AiRun) -> AiError | None:
    return AiError(code=row.error_code, message=row.error_message or row.error_code) if row.error_code else None
