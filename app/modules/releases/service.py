"""The rules of releases: one version at one moment, done once, by a job that waits until then."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import SYSTEM_ACTOR, Actor
from app.core.request import correlation_id
from app.core.trace import MOST_STEPS, Step
from app.modules.articles.service import PUBLISH, READ, ArticleService, titles, within
from app.modules.audit.service import record
from app.modules.releases.jobs import ReleaseArticle
from app.modules.releases.models import Action, Release, ReleaseStatus
from app.modules.releases.schemas import ReleaseCreate
from app.queues.cancel import cancel
from app.queues.clock import clock
from app.queues.enqueue import enqueue
from app.queues.models import JobRow

TOPIC = "releases"
SORTS = Sorts("-createdAt", {"createdAt": Release.id, "runAt": Release.run_at})


@dataclass(frozen=True, slots=True)
class ReleaseFilter:
    """Which releases; None means any."""

    article_id: UUID | None = None
    status: ReleaseStatus | None = None
    tenant_id: UUID | None = None


class ReleaseService:
    """The releases that the session's transaction may see, of articles that the caller may treat."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def create(self, article_id: UUID, wish: ReleaseCreate) -> Release:
        """Have a version shown to readers, or the article taken from them, at a moment that is yet to come.

        Raises:
            NotFound: there is no such article or version. Invalid: naming the field. Conflict (`already_scheduled`):
            the same is planned already: cancel that first.
        """
        articles = ArticleService(self._session, self._actor)
        article = await articles.get(article_id, PUBLISH)
        number = wish.version or article.draft_version if wish.action == Action.PUBLISH else None
        if wish.action != Action.PUBLISH and wish.version is not None:
            raise Invalid.field("version", "only what is published has one")
        if number is not None:
            await articles.version(article_id, number)
        if wish.at <= clock.moment():
            raise Invalid.field("at", "must be yet to come")
        planned = select(Release.id).filter_by(
            article_id=article_id, action=wish.action, status=ReleaseStatus.SCHEDULED
        )
        if await self._session.scalar(planned) is not None:
            raise Conflict(f"To {wish.action} this article is planned already", code="already_scheduled")
        id_ = new_id()
        release = Release(
            id=id_,
            tenant_id=article.tenant_id,
            article_id=article_id,
            action=wish.action,
            number=number,
            run_at=wish.at,
            status=ReleaseStatus.SCHEDULED,
            job_id=await enqueue(self._session, ReleaseArticle(release_id=id_), run_at=wish.at),
            requested_by=self._actor.label,
            correlation_id=correlation_id(),
        )
        self._session.add(release)
        await self._session.flush()
        await self._trace("article.schedule", release, article.title)
        return release

    async def search(
        self, pager: Pager, wanted: ReleaseFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[Release]:
        """What was asked for last comes first."""
        query, own = select(Release), self._actor.reach(READ)
        for column in ("article_id", "status", "tenant_id"):
            value = getattr(wanted, column)
            query = query if value is None else query.filter_by(**{column: value})
        if own is not None:
            query = query.where(Release.article_id.in_(within(own)))
        of = f"releases {scope_of(self._session).tenant_id} {sorted(own or ())} {wanted}"
        return await pager.page(self._session, query, key=Release.id, of=of, limit=limit, cursor=cursor, sorts=SORTS)

    async def cancel(self, release_id: UUID, article_id: UUID) -> Release:
        """Take it back. One that is cancelled stays so.

        Raises:
            NotFound: there is no such article, or no such release of it. Conflict (`release_over`): it was done
            already, or failed.
        """
        article = await ArticleService(self._session, self._actor).get(article_id, PUBLISH)
        release = await _locked(self._session, release_id)
        if release is None or release.article_id != article_id:
            raise NotFound("This article has no release with this id")
        if release.status == ReleaseStatus.CANCELLED:
            return release
        if release.status != ReleaseStatus.SCHEDULED:
            raise Conflict(f"This release is {release.status}", code="release_over")
        job = await self._session.scalar(select(JobRow).where(JobRow.id == release.job_id))
        if job is not None:
            await cancel(self._session, job, by=self._actor.label)
        release.status, release.finished_at = ReleaseStatus.CANCELLED, datetime.now(UTC)
        await self._session.flush()
        await self._trace("article.unschedule", release, article.title)
        return release

    async def titles(self, releases: Collection[Release]) -> dict[UUID, str]:
        """The titles of their articles, by article."""
        return await titles(self._session, {release.article_id for release in releases})

    async def _trace(self, action: str, release: Release, title: str) -> None:
        after = {"action": release.action, "version": release.number, "at": release.run_at.isoformat()}
        await record(self._session, self._actor, action, resource=("article", release.article_id, title), after=after)
        signal(self._session, TOPIC, release.id, release.tenant_id)


async def carry_out(session: AsyncSession, release_id: UUID) -> Release | None:
    """A worker's side: do it, once. None when there is nothing to do: it was taken back, done, or is gone.

    Raises:
        Problem: it cannot be done, and will not be by trying again.
    """
    release = await _locked(session, release_id)
    if release is None or release.status != ReleaseStatus.SCHEDULED:
        return None
    articles, reason = ArticleService(session, SYSTEM_ACTOR), f"Scheduled by {release.requested_by}"
    if release.action == Action.PUBLISH:
        await articles.publish(release.article_id, number=release.number, reason=reason)
    else:
        await articles.unpublish(release.article_id, reason=reason)
    release.status, release.finished_at = ReleaseStatus.COMPLETED, datetime.now(UTC)
    signal(session, TOPIC, release.id, release.tenant_id)
    return release


async def give_up(session: AsyncSession, release_id: UUID, error: str) -> None:
    """Its job is dead. What was taken back or done stays so."""
    release = await _locked(session, release_id)
    if release is not None and release.status == ReleaseStatus.SCHEDULED:
        release.status, release.error, release.finished_at = ReleaseStatus.FAILED, error, datetime.now(UTC)
        signal(session, TOPIC, release.id, release.tenant_id)


async def take_up(session: AsyncSession, release_id: UUID) -> None:
    """Its job gets another run, unless the same was planned anew meanwhile."""
    release = await _locked(session, release_id)
    if release is None or release.status != ReleaseStatus.FAILED:
        return
    same = {"article_id": release.article_id, "action": release.action, "status": ReleaseStatus.SCHEDULED}
    if await session.scalar(select(Release.id).filter_by(**same)) is None:
        release.status, release.error, release.finished_at = ReleaseStatus.SCHEDULED, None, None
        signal(session, TOPIC, release.id, release.tenant_id)


async def steps(session: AsyncSession, trace_id: UUID) -> list[Step]:
    """What was planned in a chain of cause and effect."""
    query = select(Release).where(Release.correlation_id == trace_id).order_by(Release.id).limit(MOST_STEPS)
    rows = (await session.scalars(query)).all()
    named = await titles(session, {row.article_id for row in rows})
    return [
        Step(
            "release",
            f"{row.action} {named.get(row.article_id, 'a deleted article')}",
            row.status,
            row.created_at,
            row.finished_at,
            open=row.finished_at is None,
            note=row.error,
            path=f"/articles/{row.article_id}",
            tenant_id=row.tenant_id,
        )
        for row in rows
    ]


async def _locked(session: AsyncSession, release_id: UUID) -> Release | None:
    query = select(Release).where(Release.id == release_id).with_for_update()
    found: Release | None = await session.scalar(query.execution_options(populate_existing=True))
    return found
