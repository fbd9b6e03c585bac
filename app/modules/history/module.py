"""The versions of articles: what they were, and what changed."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import Actor
from app.module import Module
from app.modules.articles.service import ArticleService
from app.modules.history.controllers import TenantVersionController, VersionController
from app.modules.history.pages import TenantVersionPages, VersionPages


def provide_articles(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> ArticleService:
    return ArticleService(session, actor)


history = Module(
    name="history",
    api=[VersionController],
    owner_api=[TenantVersionController],
    pages=[TenantVersionPages],
    member_pages=[VersionPages],
    providers={"articles": provide_articles},
)
