"""`/articles/{id}/versions` in the dashboards; the owner's stand below the tenant."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template

from app.core.paging import Pager
from app.core.templating import gone_to, home_of, prefix_of, render
from app.modules.articles.service import READ, WRITE, ArticleService
from app.modules.history.service import compare, pair

AnyRequest = Request[Any, Any, Any]


class VersionPages(Controller):
    path = "/articles/{article_id:uuid}/versions"

    @get("/", permission=READ)
    async def index(
        self,
        request: AnyRequest,
        article_id: FromPath[UUID],
        articles: NamedDependency[ArticleService],
        pager: NamedDependency[Pager],
        cursor: FromQuery[str] = "",
    ) -> Template:
        page = await articles.versions(pager, article_id, cursor=cursor or None)
        context = await _about(request, articles, article_id) | {"page": page, "cursor": cursor}
        return render(request, "history/index.html", context, fragment="history/_list.html")

    @get("/{number:int}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        article_id: FromPath[UUID],
        number: FromPath[int],
        articles: NamedDependency[ArticleService],
        since: Annotated[int | None, QueryParameter(name="since", ge=1)] = None,
    ) -> Template:
        """What a version changed, and what it says."""
        before, after = await pair(articles, article_id, number, since)
        context = await _about(request, articles, article_id) | {"after": after, "before": before}
        context["changes"] = await compare(before, after)
        return render(request, "history/show.html", context, fragment="history/_drawer.html")

    @post("/{number:int}/restoration", permission=WRITE, audit="article.restore", status_code=200)
    async def restore(
        self,
        request: AnyRequest,
        article_id: FromPath[UUID],
        number: FromPath[int],
        articles: NamedDependency[ArticleService],
    ) -> Response[bytes]:
        await articles.restore(article_id, number)
        return gone_to(f"{prefix_of(request)}/articles/{article_id}")


class TenantVersionPages(VersionPages):
    """The same for the owner, in any tenant."""

    path = "/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/versions"
    opt = {"in_tenant": True}  # noqa: RUF012


async def _about(request: AnyRequest, articles: ArticleService, article_id: UUID) -> dict[str, Any]:
    return {
        "article": await articles.get(article_id),
        "list": f"{prefix_of(request)}/articles",
        "path": f"{home_of(request)}/articles/{article_id}/versions",
    }
