"""Queries on reports."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, select

from app.modules.articles.service import within
from app.modules.reports.models import QualityReport
from app.modules.reports.schemas import ReportKind


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """Which reports; None means any."""

    kind: ReportKind | None = None
    tenant_id: UUID | None = None
    article_id: UUID | None = None


def fitting(wanted: ReportFilter, workspaces: frozenset[UUID] | None) -> Select[tuple[QualityReport]]:
    """Those that fit, and are about articles of these workspaces; None for all."""
    pairs = (
        (QualityReport.kind, wanted.kind),
        (QualityReport.tenant_id, wanted.tenant_id),
        (QualityReport.article_id, wanted.article_id),
    )
    query = select(QualityReport).where(*(column == value for column, value in pairs if value is not None))
    return query if workspaces is None else query.where(QualityReport.article_id.in_(within(workspaces)))
