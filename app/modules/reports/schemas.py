"""Reports on the wire."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Raw, Struct, convert

from app.core.wire import Outgoing
from app.modules.reports.models import QualityReport
from app.redis.cached import Cached

REPORT_ANSWERS = Cached("owner", "reports", "answers", Raw, 30, ("reports",), "Reports on articles, over the API.")
_NEWEST = "What was last found in an article, on its page."


class ReportKind(StrEnum):
    """What was looked at: how a text reads, or how search engines find it."""

    QUALITY = "quality"
    SEO = "seo"


class Finding(Outgoing):
    """One thing to mend or to know. `level` is error, warning or notice; `source` is rule or model."""

    check: str
    level: str
    message: str
    source: str


class ReportRead(Outgoing):
    """One report. `score` is 100 less what the findings cost; `articleVersion` is the version that was read."""

    id: UUID
    article_id: UUID
    task_id: UUID
    kind: ReportKind
    article_version: int
    provider: str
    score: int
    findings: list[Finding]
    measures: dict[str, Any]
    created_at: datetime


class ReportOwned(ReportRead):
    """One report as the owner sees it."""

    tenant_id: UUID
    run_id: UUID


class Verdict(Struct, frozen=True):
    """What a report says in short. `findings` is how many; `changed_since`: the article is not what was read then."""

    report_id: UUID
    kind: ReportKind
    score: int
    findings: int
    changed_since: bool
    created_at: datetime


class Verdicts(Struct, frozen=True):
    """Of the newest report of each kind."""

    newest: list[Verdict]


VERDICTS = Cached("tenant", "reports", "verdicts", Verdicts, 3600, ("verdicts",), _NEWEST, per_tenant=True)


class ReportPage(Outgoing):
    """A page of reports, newest first."""

    items: Sequence[ReportRead]
    next_cursor: str | None
    prev_cursor: str | None


class ReportOwnedPage(Outgoing):
    """A page of all tenants' reports, newest first."""

    items: Sequence[ReportOwned]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: QualityReport) -> ReportRead:
    return convert(row, ReportRead, from_attributes=True)


def owned(row: QualityReport) -> ReportOwned:
    return convert(row, ReportOwned, from_attributes=True)
