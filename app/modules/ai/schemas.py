"""AI's tasks, runs, messages and events on the wire."""

from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from msgspec import convert

from app.core.access import Access
from app.core.wire import Incoming, Outgoing, Sensitive
from app.modules.ai.models import RunStatus, TaskStatus

T = TypeVar("T")
MESSAGES_SEEN = Access("owner.read.ai_message", "ai_message", fields=("parts",))
RUN_SEEN = Access("owner.read.ai_run", "ai_run", of="run_id", fields=("messages",))


class SummaryRequest(Incoming):
    """Nothing to choose yet: an empty object, or no body at all."""


class AiError(Outgoing):
    """Why it failed: a stable word, and a sentence."""

    code: str
    message: str


class AiTries(Outgoing):
    """How many tries have failed, how many there are at most, and when the next one begins."""

    failed: int
    most: int
    next_at: datetime | None


class SummaryResult(Outgoing):
    """What was written, and which provider did."""

    summary: str
    keywords: list[str]
    provider: str


class AiTaskRead(Outgoing):
    """One task. `status` is queued, running, completed or failed; `version` is also its ETag.

    While a failed try is followed by another, `status` is queued, `error` is that of the last try, and
    `tries.nextAt` says when the next one begins.
    """

    id: UUID
    kind: str
    status: TaskStatus
    article_id: UUID
    requested_by: str
    result: SummaryResult | None
    error: AiError | None
    tries: AiTries | None
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
    """One try at a task. `costUsd` is null where the provider did not say."""

    id: UUID
    tenant_id: UUID
    task_id: UUID
    attempt: int
    provider: str
    model: str | None
    status: RunStatus
    usage: TokenUsage | None
    cost_usd: str | None
    error: AiError | None
    created_at: datetime
    finished_at: datetime | None
    duration_ms: int | None


class AiMessageRead(Sensitive):
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


class _Page(Outgoing):
    """A page of a list, newest first. A cursor is null where there is nothing on that side."""

    next_cursor: str | None
    prev_cursor: str | None


class AiTaskPage(_Page):
    items: list[AiTaskRead]


class AiTaskOwnedPage(_Page):
    items: list[AiTaskOwned]


class AiRunPage(_Page):
    items: list[AiRunRead]


class AiMessagePage(_Page):
    items: list[AiMessageRead]


class AiEventPage(_Page):
    items: list[AiEventRead]


def read(found: object, shape: type[T]) -> T:
    """A row or a page of ours in the shape that its callers get."""
    return convert(found, shape, from_attributes=True)
