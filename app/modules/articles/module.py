"""Articles: what tenants write, and readers read."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.quota import ARTICLES, Quota
from app.core.signs import SignSource
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.articles import permissions
from app.modules.articles.controllers import (
    ArticleController,
    OwnerArticleController,
    PublicationController,
    TenantArticleController,
    provide_query,
)
from app.modules.articles.pages import ArticlePages, ArticleWriting, OwnerArticlePages, TenantArticleWriting
from app.modules.articles.processor import treat_articles
from app.modules.articles.repository import count, signs
from app.modules.articles.schemas import ARTICLE_ANSWERS
from app.modules.articles.service import TOPIC, ArticleService, show_terms
from app.modules.taxonomy.events import TermsChanged


def provide_articles(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> ArticleService:
    return ArticleService(session, actor)


articles = Module(
    name="articles",
    api=[ArticleController, PublicationController],
    owner_api=[OwnerArticleController, TenantArticleController],
    pages=[OwnerArticlePages, TenantArticleWriting],
    member_pages=[ArticlePages, ArticleWriting],
    providers={"articles": provide_articles, "asked": provide_query},
    processors=[treat_articles],
    subscribers=[(TermsChanged, show_terms)],
    permissions=permissions.ALL,
    caches=[ARTICLE_ANSWERS],
    actions=["article.summarize"],
    signs=[SignSource(signs, permissions.READ, TOPIC, plane=None)],
    topics=[Topic(TOPIC, permissions.READ)],
    navigation=[NavigationItem("Content", "Articles", "/articles", "article", permissions.READ, 30)],
    quotas=[Quota(ARTICLES, "Articles", count)],
    links={"article": ("/articles/{id}", permissions.READ)},
)
