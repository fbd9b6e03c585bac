"""Runs, what was said in them, what happened and what they used, on the wire."""

from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from msgspec import Raw, convert

from app.core.access import Access
from app.core.wire import Outgoing, Sensitive
from app.modules.runs.models import RunStatus
from app.redis.cached import Cached

T = TypeVar("T")
MESSAGES_SEEN = Access("owner.read.ai_message", "ai_message", fields=("parts",))
RUN_SEEN = Access("owner.read.ai_run", "ai_run", of="run_id", fields=("messages",))
RUN_ANSWERS = Cached("owner", "runs", "answers", Raw, 30, ("ai",), "AI's runs, messages and events, over the API.")


class Level(StrEnum):
    """How much an event matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class RunError(Outgoing):
    """Why a run failed: a stable word, and a sentence."""

    code: str
    message: str


class By(StrEnum):
    """What the use of a month is divided by."""

    DAY = "day"
    KIND = "kind"
    MODEL = "model"


class TokenUsage(Outgoing):
    """Tokens, each counted in one field only."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int


class AiRunRead(Outgoing):
    """One try at a task. `costUsd` is null where the provider did not say.

    `templateVersion` is the version of the kind's template that the model was told, 0 for the code's own words.
    """

    id: UUID
    tenant_id: UUID
    task_id: UUID
    attempt: int
    provider: str
    model: str | None
    template_version: int | None
    status: RunStatus
    usage: TokenUsage | None
    cost_usd: str | None
    error: RunError | None
    created_at: datetime
    finished_at: datetime | None
    duration_ms: int | None


class AiUsageRead(Outgoing):
    """What a tenant's runs used in a month, by UTC: how many there were, how many failed, tokens, US dollars."""

    tenant_id: UUID
    runs: int
    failed: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int
    cost_usd: str


class AiUsageList(Outgoing):
    """The use of one month, the dearest tenant first."""

    month: str
    items: list[AiUsageRead]


class AiUsagePart(Outgoing):
    """What the runs of one day (by UTC), of one kind of task or of one model used. `key` says which."""

    key: str
    runs: int
    failed: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int
    cost_usd: str


class AiUsageParts(Outgoing):
    """The use of one month in parts: the newest day first, or what was dearest."""

    month: str
    by: By
    items: list[AiUsagePart]


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


class AiRunPage(_Page):
    items: list[AiRunRead]


class AiMessagePage(_Page):
    items: list[AiMessageRead]


class AiEventPage(_Page):
    items: list[AiEventRead]


def read(found: object, shape: type[T]) -> T:
    """A row or a page of ours in the shape that its callers get."""
    return convert(found, shape, from_attributes=True)
