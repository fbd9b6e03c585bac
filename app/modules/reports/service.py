"""The rules of reports: what was found in an article is kept, with a score that anybody can work out again."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import NotFound
from app.core.live import signal
from app.core.paging import Page, Pager
from app.core.policy import Actor
from app.modules.reports import repository
from app.modules.reports.models import QualityReport
from app.modules.reports.permissions import READ
from app.modules.reports.repository import ReportFilter
from app.modules.reports.schemas import REPORT_ANSWERS
from app.redis.cache import drop

__all__ = ["TOPIC", "ReportFilter", "ReportService"]
TOPIC = "ai.reports"
COSTS = {"error": 15, "warning": 7, "notice": 2}
"""What a finding of each level takes from the score of 100."""


class ReportService:
    """Reports that the session's transaction may see; a caller tied to a workspace finds those of its articles."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def keep(
        self,
        kind: str,
        *,
        task: tuple[UUID, UUID, UUID],
        article: tuple[UUID, int],
        provider: str,
        findings: Sequence[Mapping[str, Any]],
        measures: Mapping[str, Any],
    ) -> QualityReport:
        """Write a report; whoever looked audits it.

        Args:
            kind: quality or seo.
            task: tenant, task and run that made it.
            article: its id, and the version that was read.
        """
        tenant_id, task_id, run_id = task
        report = QualityReport(
            tenant_id=tenant_id,
            task_id=task_id,
            run_id=run_id,
            article_id=article[0],
            article_version=article[1],
            kind=kind,
            provider=provider,
            score=score(findings),
            findings=[dict(finding) for finding in findings],
            measures=dict(measures),
        )
        self._session.add(report)
        await self._session.flush()
        signal(self._session, TOPIC, report.id, tenant_id)
        drop(self._session, *REPORT_ANSWERS.tags)
        return report

    async def get(self, report_id: UUID) -> QualityReport:
        """
        Raises:
            NotFound: there is none with this id, or it is not the caller's.
        """
        own = repository.fitting(ReportFilter(), self._actor.reach(READ))
        report: QualityReport | None = await self._session.scalar(own.where(QualityReport.id == report_id))
        if report is None:
            raise NotFound("There is no report with this id")
        return report

    async def search(
        self, pager: Pager, wanted: ReportFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[QualityReport]:
        """Newest first."""
        own = self._actor.reach(READ)
        return await pager.page(
            self._session,
            repository.fitting(wanted, own),
            key=QualityReport.id,
            of=f"reports {scope_of(self._session).tenant_id} {sorted(own or ())} {wanted}",
            limit=limit,
            cursor=cursor,
        )


def score(findings: Sequence[Mapping[str, Any]]) -> int:
    """100 less what each finding costs, and never below 0."""
    return max(0, 100 - sum(COSTS[finding["level"]] for finding in findings))
