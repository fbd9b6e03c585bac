"""Articles: what tenants write, and readers read."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.articles import permissions
from app.modules.articles.controllers import ArticleController
from app.modules.articles.pages import ArticlePages
from app.modules.articles.service import TOPIC, ArticleService


def provide_articles(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> ArticleService:
    return ArticleService(session, actor)


articles = Module(
    name="articles",
    api=[ArticleController],
    pages=[ArticlePages],
    providers={"articles": provide_articles},
    permissions=permissions.ALL,
    actions=["article.summarize"],
    topics=[Topic(TOPIC, permissions.READ)],
    navigation=[NavigationItem("Content", "Articles", "/articles", "article", permissions.READ, 30)],
    links={"article": ("/articles/{id}", permissions.READ)},
)
