"""`/releases` in the dashboards: what is planned; and the plan of one article, the owner's below the tenant."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter, URLEncodedBody
from litestar.response import Template

from app.core.paging import Pager
from app.core.queries import one_of, uuid_of
from app.core.templating import home_of, prefix_of, render, told
from app.modules.articles.service import PUBLISH, READ, ArticleService
from app.modules.releases.models import ReleaseStatus
from app.modules.releases.schemas import ReleaseForm
from app.modules.releases.service import SORTS, ReleaseFilter, ReleaseService

AnyRequest = Request[Any, Any, Any]


class ReleasePages(Controller):
    path = "/releases"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        releases: NamedDependency[ReleaseService],
        pager: NamedDependency[Pager],
        status: FromQuery[str] = "",
        of_tenant: Annotated[str, QueryParameter(name="tenantId")] = "",
        cursor: FromQuery[str] = "",
    ) -> Template:
        chosen = one_of("status", status, ReleaseStatus)
        wanted = ReleaseFilter(status=chosen, tenant_id=uuid_of("tenantId", of_tenant))
        page = await releases.search(pager, wanted, cursor=cursor or None)
        asked = {"status": status, "tenantId": of_tenant}
        context = {
            "path": f"{prefix_of(request)}/releases",
            "params": {name: value for name, value in asked.items() if value} | pager.order,
            "cursor": cursor,
            "page": page,
            "statuses": [(one, one.capitalize()) for one in ReleaseStatus],
            "titles": await releases.titles(page.items),
        }
        return render(request, "releases/index.html", context, fragment="releases/_list.html")


class PlanPages(Controller):
    path = "/articles/{article_id:uuid}/releases"

    @get("/", permission=READ)
    async def index(
        self,
        request: AnyRequest,
        article_id: FromPath[UUID],
        articles: NamedDependency[ArticleService],
        releases: NamedDependency[ReleaseService],
        pager: NamedDependency[Pager],
        cursor: FromQuery[str] = "",
    ) -> Template:
        return await _plan(request, articles, releases, pager, article_id, cursor)

    @post("/", permission=PUBLISH, audit="article.schedule", status_code=200)
    async def create(
        self,
        request: AnyRequest,
        article_id: FromPath[UUID],
        articles: NamedDependency[ArticleService],
        releases: NamedDependency[ReleaseService],
        pager: NamedDependency[Pager],
        data: URLEncodedBody[ReleaseForm],
    ) -> Template:
        release = await releases.create(article_id, data.wish())
        answer = await _plan(request, articles, releases, pager, article_id)
        return told(answer, f"Planned for {release.run_at:%Y-%m-%d %H:%M} UTC.")

    @post("/{release_id:uuid}/cancellation", permission=PUBLISH, audit="article.unschedule", status_code=200)
    async def cancel(
        self,
        request: AnyRequest,
        article_id: FromPath[UUID],
        release_id: FromPath[UUID],
        articles: NamedDependency[ArticleService],
        releases: NamedDependency[ReleaseService],
        pager: NamedDependency[Pager],
    ) -> Template:
        await releases.cancel(release_id, article_id)
        return told(await _plan(request, articles, releases, pager, article_id), "That is taken back.")


class TenantPlanPages(PlanPages):
    """The same for the owner, in any tenant."""

    path = "/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/releases"
    opt = {"in_tenant": True}  # noqa: RUF012


async def _plan(
    request: AnyRequest,
    articles: ArticleService,
    releases: ReleaseService,
    pager: Pager,
    article_id: UUID,
    cursor: str = "",
) -> Template:
    context = {
        "article": await articles.get(article_id),
        "list": f"{prefix_of(request)}/articles",
        "path": f"{home_of(request)}/articles/{article_id}/releases",
        "cursor": cursor,
        "page": await releases.search(pager, ReleaseFilter(article_id=article_id), cursor=cursor or None),
    }
    return render(request, "releases/plan.html", context, fragment="releases/_plan.html")
