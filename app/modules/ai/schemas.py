"""AI's tasks on the wire."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar
from uuid import UUID

from msgspec import Meta, Raw, convert, field

from app.core.wire import Incoming, Outgoing
from app.modules.ai.models import TaskStatus
from app.redis.cached import Cached

T = TypeVar("T")
AI_ANSWERS = Cached("owner", "ai", "answers", Raw, 30, ("ai",), "AI's tasks, over the API.")


class SummaryRequest(Incoming):
    """Nothing to choose yet: an empty object, or no body at all."""


class _Wanted(Incoming, tag_field="kind"):
    article_id: UUID


class DraftWanted(_Wanted, tag="generate_article_draft"):
    """Write the article's text after a brief, as a draft to accept. Needs a language model."""

    brief: Annotated[str, Meta(min_length=1, max_length=4_000, examples=["How tide tables are made; 800 words"])]


class RewriteWanted(_Wanted, tag="rewrite_article"):
    """Another text for the article, as a draft to accept. Without a language model it can only be mended: no
    `instructions`, and spaces, doubled words and skipped levels of headings are put right.
    """

    instructions: Annotated[str, Meta(max_length=2_000, examples=["Shorter sentences"])] = ""


class SummaryWanted(_Wanted, tag="summarize_article"):
    """The article's summary and key words, kept with it."""


class QualityWanted(_Wanted, tag="quality_check"):
    """A report on how the article reads."""


class SeoWanted(_Wanted, tag="seo_generate"):
    """Title, description, slug and key words for search engines; title and slug as a draft to accept."""


class AuditWanted(_Wanted, tag="seo_audit"):
    """A report on what search engines find in the article."""


TaskRequest = DraftWanted | RewriteWanted | SummaryWanted | QualityWanted | SeoWanted | AuditWanted


class Kind(StrEnum):
    """What can be asked of AI."""

    GENERATE = "generate_article_draft"
    REWRITE = "rewrite_article"
    SUMMARIZE = "summarize_article"
    QUALITY = "quality_check"
    SEO_GENERATE = "seo_generate"
    SEO_AUDIT = "seo_audit"


class AiError(Outgoing):
    """Why it failed: a stable word, and a sentence."""

    code: str
    message: str


class AiTries(Outgoing):
    """How many tries have failed, how many there are at most, and when the next one begins."""

    failed: int
    most: int
    next_at: datetime | None


class AiResult(Outgoing, omit_defaults=True):
    """What came of a task; what its kind does not have is left out. A draft waits for a person at `/drafts/{draftId}`.

    `note` says what was changed, or that there was nothing to change.
    """

    provider: str
    summary: str = ""
    keywords: list[str] = field(default_factory=list)
    title: str = ""
    description: str = ""
    slug: str = ""
    note: str = ""
    draft_id: UUID | None = None
    report_id: UUID | None = None
    score: int | None = None


class AiTaskRead(Outgoing):
    """One task. `status` is queued, running, completed, failed or cancelled; `version` is also its ETag.

    `input` is what was asked for beside the article. While a failed try is followed by another, `status` is queued,
    `error` is that of the last try, and `tries.nextAt` says when the next one begins.
    """

    id: UUID
    kind: str
    status: TaskStatus
    article_id: UUID
    input: dict[str, Any]
    requested_by: str
    result: AiResult | None
    error: AiError | None
    tries: AiTries | None
    cancel_requested_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    version: int


class AiTaskOwned(AiTaskRead):
    """One task as the owner sees it."""

    tenant_id: UUID
    job_id: UUID
    correlation_id: UUID | None


class _Page(Outgoing):
    """A page of a list, newest first. A cursor is null where there is nothing on that side."""

    next_cursor: str | None
    prev_cursor: str | None


class AiTaskPage(_Page):
    items: list[AiTaskRead]


class AiTaskOwnedPage(_Page):
    items: list[AiTaskOwned]


def read(found: object, shape: type[T]) -> T:
    """A row or a page of ours in the shape that its callers get."""
    return convert(found, shape, from_attributes=True)
