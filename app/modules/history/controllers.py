"""`/api/v1/articles/{id}/versions`, for tenants' apps."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from app.core.paging import Pager
from app.modules.articles.service import READ, ArticleService
from app.modules.history.schemas import Comparison, VersionPage, VersionRead, item, read
from app.modules.history.service import compare, pair

Since = Annotated[int | None, QueryParameter(name="since", ge=1, description="the earlier version; the one before it")]


class VersionController(Controller):
    path = "/articles/{article_id:uuid}/versions"

    @get("/", permission=READ)
    async def index(
        self,
        article_id: FromPath[UUID],
        articles: NamedDependency[ArticleService],
        pager: NamedDependency[Pager],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> VersionPage:
        """List the versions of an article, newest first."""
        page = await articles.versions(pager, article_id, limit=limit, cursor=cursor)
        items = [item(row) for row in page.items]
        return VersionPage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{number:int}", permission=READ)
    async def show(
        self, article_id: FromPath[UUID], number: FromPath[int], articles: NamedDependency[ArticleService]
    ) -> Response[VersionRead]:
        """Read an article as it was. A version never changes."""
        found = await articles.version(article_id, number)
        return Response(read(found), headers={"ETag": f'"{found.sha256}"'})

    @get("/{number:int}/changes", permission=READ)
    async def changes(
        self,
        article_id: FromPath[UUID],
        number: FromPath[int],
        articles: NamedDependency[ArticleService],
        since: Since = None,
    ) -> Comparison:
        """Tell what changed from one version to another, the body line by line."""
        return await compare(*await pair(articles, article_id, number, since))


class TenantVersionController(VersionController):
    """The same for the owner, in any tenant."""

    path = "/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/versions"
    opt = {"in_tenant": True}  # noqa: RUF012
