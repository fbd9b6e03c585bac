"""`/api/v1/articles/{id}/releases`, for tenants' apps; the same below a tenant, for the owner."""

from uuid import UUID

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from app.core.paging import Pager
from app.modules.articles.service import PUBLISH, READ, ArticleService
from app.modules.releases.models import ReleaseStatus
from app.modules.releases.schemas import ReleaseCreate, ReleasePage, ReleaseRead, read
from app.modules.releases.service import SORTS, ReleaseFilter, ReleaseService


class ReleaseController(Controller):
    path = "/articles/{article_id:uuid}/releases"

    @post("/", permission=PUBLISH, audit="article.schedule")
    async def create(
        self, article_id: FromPath[UUID], releases: NamedDependency[ReleaseService], data: JSONBody[ReleaseCreate]
    ) -> ReleaseRead:
        """Have a version shown to readers, or the article taken from them, at a moment that is yet to come."""
        return read(await releases.create(article_id, data))

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        article_id: FromPath[UUID],
        articles: NamedDependency[ArticleService],
        releases: NamedDependency[ReleaseService],
        pager: NamedDependency[Pager],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
        status: FromQuery[ReleaseStatus | None] = None,
    ) -> ReleasePage:
        """List what is and was planned for an article, what was asked for last first."""
        await articles.get(article_id)
        wanted = ReleaseFilter(article_id=article_id, status=status)
        page = (await releases.search(pager, wanted, limit=limit, cursor=cursor)).map(read)
        return ReleasePage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @delete("/{release_id:uuid}", permission=PUBLISH, audit="article.unschedule")
    async def cancel(
        self, article_id: FromPath[UUID], release_id: FromPath[UUID], releases: NamedDependency[ReleaseService]
    ) -> None:
        """Take a release back before its moment. One that is cancelled stays so."""
        await releases.cancel(release_id, article_id)


class TenantReleaseController(ReleaseController):
    """The same for the owner, in any tenant."""

    path = "/tenants/{tenant_id:uuid}/articles/{article_id:uuid}/releases"
    opt = {"in_tenant": True}  # noqa: RUF012
