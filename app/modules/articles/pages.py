"""`/dashboard/owner/articles`: what all tenants wrote."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from app.core.errors import Invalid
from app.core.paging import Pager
from app.core.templating import PREFIX, render
from app.modules.articles.models import Status
from app.modules.articles.permissions import READ
from app.modules.articles.repository import ArticleFilter
from app.modules.articles.service import ArticleService

PATH = f"{PREFIX}/articles"


class ArticlePages(Controller):
    path = "/articles"

    @get("/", permission=READ)
    async def index(
        self,
        request: Request[Any, Any, Any],
        articles: NamedDependency[ArticleService],
        pager: NamedDependency[Pager],
        q: FromQuery[str] = "",
        status: FromQuery[str] = "",
        tenant: FromQuery[str] = "",
        cursor: FromQuery[str] = "",
    ) -> Template:
        wanted = ArticleFilter(_id("tenant", tenant), _status(status), title=q.strip() or None)
        page = await articles.search(pager, wanted, cursor=cursor or None)
        params = {"q": q, "status": status, "tenant": tenant}
        context = {
            "path": PATH,
            "params": {name: value for name, value in params.items() if value},
            "cursor": cursor,
            "page": page,
            "tenants": await articles.tenant_names({row.tenant_id for row in page.items} | {wanted.tenant_id}),
            "choices": await articles.tenant_choices(),
        }
        return render(request, "articles/index.html", context, fragment="articles/_list.html")

    @get("/{article_id:uuid}", permission=READ)
    async def show(
        self,
        request: Request[Any, Any, Any],
        article_id: FromPath[UUID],
        articles: NamedDependency[ArticleService],
    ) -> Template:
        article = await articles.get(article_id)
        names = await articles.tenant_names({article.tenant_id})
        context = {"path": PATH, "article": article, "tenant": names[article.tenant_id]}
        return render(request, "articles/show.html", context, fragment="articles/_drawer.html")


def _id(field: str, text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise Invalid.field(field, "is not an id") from None


def _status(text: str) -> Status | None:
    try:
        return Status(text) if text else None
    except ValueError:
        raise Invalid.field("status", f"is one of {', '.join(Status)}") from None
