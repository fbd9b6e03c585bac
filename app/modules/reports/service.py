"""The rules of reports: what was found in an article is kept, with a score that anybody can work out again."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, Plane, scope_of
from app.core.errors import NotFound
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.modules.articles.events import (
    ArticleDeleted,
    ArticlePublished,
    ArticleSubmitted,
    ArticleUnpublished,
    ArticleUpdated,
)
from app.modules.reports import repository
from app.modules.reports.models import QualityReport
from app.modules.reports.permissions import READ
from app.modules.reports.repository import ReportFilter
from app.modules.reports.schemas import REPORT_ANSWERS, VERDICTS, ReportKind, Verdict, Verdicts
from app.redis.cache import Cache, drop

__all__ = ["TOPIC", "ArticleFact", "ReportFilter", "ReportService"]
TOPIC = "ai.reports"
ArticleFact = ArticleUpdated | ArticleSubmitted | ArticlePublished | ArticleUnpublished | ArticleDeleted
"""What makes an article another than a report has read."""
COSTS = {"error": 15, "warning": 7, "notice": 2}
"""What a finding of each level takes from the score of 100."""
SORTS = Sorts("-createdAt", {"createdAt": QualityReport.id})


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
        drop(self._session, *REPORT_ANSWERS.tags, _verdicts_on(report.article_id))
        signal(self._session, TOPIC, report.id, tenant_id)
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

    async def verdicts(self, article_id: UUID, database: Database, cache: Cache) -> Verdicts:
        """What the newest reports say; nothing of an article that is gone, or not the caller's.

        All of a tenant who may see all of its articles share what is kept. The owner, and who is tied to workspaces,
        read the record.

        Args:
            database: a load that others wait for has a transaction of its own.
        """
        scope, own = scope_of(self._session), self._actor.reach(READ)

        async def load() -> Verdicts:
            async with database.transaction(scope) as session:
                rows = await session.execute(repository.newest(article_id, own))
                return Verdicts([_verdict(report, changed) for report, changed in rows])

        if own is not None or scope.plane is not Plane.TENANT:
            return await load()
        place = VERDICTS.place(str(article_id), tenant=scope.tenant_id, tags=(_verdicts_on(article_id),))
        return await cache.cache_wrap(place, load)

    async def search(
        self, pager: Pager, wanted: ReportFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[QualityReport]:
        """Newest first, unless it is wanted otherwise."""
        own = self._actor.reach(READ)
        return await pager.page(
            self._session,
            repository.fitting(wanted, own),
            key=QualityReport.id,
            of=f"reports {scope_of(self._session).tenant_id} {sorted(own or ())} {wanted}",
            limit=limit,
            cursor=cursor,
            sorts=SORTS,
        )


async def judge_anew(session: AsyncSession, fact: ArticleFact) -> None:
    """What is kept of an article's verdicts says whether it has changed since."""
    drop(session, _verdicts_on(fact.article_id))


def _verdicts_on(article_id: UUID) -> str:
    return f"{VERDICTS.tags[0]}:{article_id}"


def _verdict(report: QualityReport, changed: bool) -> Verdict:
    kind, findings = ReportKind(report.kind), len(report.findings)
    return Verdict(report.id, kind, report.score, findings, changed, report.created_at)


def score(findings: Sequence[Mapping[str, Any]]) -> int:
    """100 less what each finding costs, and never below 0."""
    return max(0, 100 - sum(COSTS[finding["level"]] for finding in findings))
