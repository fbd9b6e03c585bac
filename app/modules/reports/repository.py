"""Queries on reports."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, select

from app.core.queries import between
from app.modules.articles.service import Article, within
from app.modules.reports.models import QualityReport
from app.modules.reports.schemas import ReportKind


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """Which reports; None means any."""

    kind: ReportKind | None = None
    tenant_id: UUID | None = None
    article_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


def fitting(wanted: ReportFilter, workspaces: frozenset[UUID] | None) -> Select[tuple[QualityReport]]:
    """Those that fit, and are about articles of these workspaces; None for all. `since` is in, `until` is not."""
    pairs = (
        (QualityReport.kind, wanted.kind),
        (QualityReport.tenant_id, wanted.tenant_id),
        (QualityReport.article_id, wanted.article_id),
    )
    query = select(QualityReport).where(*(column == value for column, value in pairs if value is not None))
    query = between(query, QualityReport.id, wanted.since, wanted.until)
    return query if workspaces is None else query.where(QualityReport.article_id.in_(within(workspaces)))


def newest(article_id: UUID, workspaces: frozenset[UUID] | None) -> Select[tuple[QualityReport, bool]]:
    """The last report of each kind on an article that is there, and whether that has changed since."""
    there: ColumnElement[bool] = and_(
        Article.tenant_id == QualityReport.tenant_id,
        Article.id == QualityReport.article_id,
        Article.deleted_at.is_(None),
    )
    return (
        fitting(ReportFilter(article_id=article_id), workspaces)
        .add_columns(Article.version != QualityReport.article_version)
        .join(Article, there)
        .distinct(QualityReport.kind)
        .order_by(QualityReport.kind, QualityReport.id.desc())
    )
