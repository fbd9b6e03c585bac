"""Releases: a version of an article goes to readers, or the article from them, at a moment that was chosen."""

from collections.abc import Collection
from uuid import UUID

from litestar.di import NamedDependency
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.core.trace import TraceSource
from app.module import About, Module
from app.modules.articles.service import READ, ArticleService, titles
from app.modules.releases.controllers import ReleaseController, TenantReleaseController
from app.modules.releases.jobs import ReleaseArticle
from app.modules.releases.models import Release
from app.modules.releases.pages import PlanPages, ReleasePages, TenantPlanPages
from app.modules.releases.processor import release_article
from app.modules.releases.service import TOPIC, ReleaseService, steps


def provide_articles(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> ArticleService:
    return ArticleService(session, actor)


def provide_releases(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> ReleaseService:
    return ReleaseService(session, actor)


async def about_jobs(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, tuple[str, str]]:
    """The article of each job, with its page."""
    rows = (await session.scalars(select(Release).where(Release.job_id.in_(ids)))).all()
    named = await titles(session, {row.article_id for row in rows})
    return {row.job_id: (named[row.article_id], f"/articles/{row.article_id}") for row in rows}


releases = Module(
    name="releases",
    api=[ReleaseController],
    owner_api=[TenantReleaseController],
    pages=[ReleasePages, TenantPlanPages],
    member_pages=[ReleasePages, PlanPages],
    providers={"articles": provide_articles, "releases": provide_releases},
    processors=[release_article],
    topics=[Topic(TOPIC, READ)],
    navigation=[NavigationItem("Content", "Releases", "/releases", "calendar-time", READ, 31)],
    traces=[TraceSource(steps, READ, TOPIC)],
    about=[About(ReleaseArticle.kind, about_jobs, READ)],
)
