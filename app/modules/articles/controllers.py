"""`/api/v1/articles` and `/publications`, for tenants' apps; `/api/owner/tenants/{id}/articles`, for the owner."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, Parameter, RequestBody, Schema
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.core.errors import BadRequest, FieldError, Invalid
from app.core.etag import IfMatch, etag, versions
from app.core.markdown import heading
from app.core.paging import Pager
from app.core.queries import text_of
from app.core.wire import JsonRequest
from app.modules.articles.models import Article
from app.modules.articles.permissions import PUBLISH, READ, WRITE
from app.modules.articles.schemas import (
    ARTICLE_ANSWERS,
    MAX_TITLE,
    ArticleCreate,
    ArticleEdit,
    ArticlePage,
    ArticleQuery,
    ArticleRead,
    BatchCreate,
    BatchRead,
    OwnedArticlePage,
    PublicationPage,
    PublicationRead,
    PublicationWish,
    item,
    owned,
    publication_item,
    publication_read,
    read,
)
from app.modules.articles.service import SORTS, ArticleService

# What stands beside the Markdown: a file has no place for it.
IN_ADDRESS = {
    "title": "The title; without it, the first heading",
    "slug": "The slug; without it, one made of the title",
    "language": "The language, `en` or `pt-BR`",
}


class MarkdownRequest(JsonRequest):
    """Also takes `text/markdown`, so that a file can be sent as it is; it is read as the JSON that it stands for."""

    async def body(self) -> bytes:
        """Of Markdown never empty: an empty body would not be asked what it is."""
        return await super().body() or (b"\n" if self.content_type[0] == "text/markdown" else b"")

    async def json(self) -> Any:
        try:
            text = (await self.body()).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            where = f"is not UTF-8: byte {error.start + 1} cannot be read"
            raise BadRequest(f"body: {where}", code="bad_encoding", errors=[FieldError("body", where)]) from error
        if self.content_type[0] != "text/markdown":
            return await super().json()
        asked = {name: self.query_params[name] for name in IN_ADDRESS if name in self.query_params}
        title = asked.get("title") or (heading(text) or "")[:MAX_TITLE]
        if not title:
            raise Invalid.field("title", "is wanted: give ?title=…, or begin the Markdown with a heading")
        return asked | {"title": title, "body": text}


@dataclass
class MarkdownToo(Operation):
    """Tells the API's description that the body may be Markdown as well."""

    def __post_init__(self) -> None:
        if isinstance(self.request_body, RequestBody):
            self.request_body.content["text/markdown"] = OpenAPIMediaType(Schema(type=OpenAPIType.STRING))
        asked = [
            Parameter(name, "query", schema=Schema(type=OpenAPIType.STRING), description=f"For `text/markdown`: {text}")
            for name, text in IN_ADDRESS.items()
        ]
        self.parameters = [*(self.parameters or []), *asked]


def provide_query(
    q: FromQuery[str | None] = None,
    status: FromQuery[str | None] = None,
    language: FromQuery[str | None] = None,
    of_tenant: Annotated[str | None, QueryParameter(name="tenantId")] = None,
    since: Annotated[str | None, QueryParameter(name="from")] = None,
    until: Annotated[str | None, QueryParameter(name="to")] = None,
    tag: FromQuery[str | None] = None,
    category: FromQuery[str | None] = None,
) -> ArticleQuery:
    # As text: a provider that raises would leave the request's session to the garbage collector.
    return ArticleQuery(
        q=q,
        status=status,
        language=language,
        tenant_id=of_tenant,
        since=since,
        until=until,
        tag=tag,
        category=category,
    )


class ArticleController(Controller):
    path = "/articles"

    @post(
        "/",
        permission=WRITE,
        audit="article.create",
        request_class=MarkdownRequest,
        operation_class=MarkdownToo,
        reads=tuple(IN_ADDRESS),
    )
    async def create(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[ArticleCreate],
        articles: NamedDependency[ArticleService],
    ) -> Response[ArticleRead]:
        """Write the draft of an article. `text/markdown` is taken too: the title is `?title=` or the first heading."""
        article = await articles.create(data)
        return await _with_version(articles, article, 201, location=f"{request.url.path.rstrip('/')}/{article.id}")

    @get("/", permission=READ, sorts=SORTS, cached=ARTICLE_ANSWERS)
    async def index(
        self,
        articles: NamedDependency[ArticleService],
        pager: NamedDependency[Pager],
        asked: NamedDependency[ArticleQuery],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> ArticlePage:
        """List articles, without bodies. `q` looks for words in any form, also nearly spelt ones of the title.

        With `q` the best come first, on one page; without it, or with another `sort`, a cursor leads on. `from` and
        `to`, of when they were made, take days or moments; `tag` and `category` take slugs, and a category stands for
        those below it too.
        """
        page = await articles.search(pager, asked.filter(), limit=limit, cursor=cursor)
        filed = await articles.filed(page.items)
        items = [item(row, filed) for row in page.items]
        return ArticlePage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{article_id:uuid}", permission=READ)
    async def show(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService]
    ) -> Response[ArticleRead]:
        """Read one article."""
        return await _with_version(articles, await articles.get(article_id))

    @patch("/{article_id:uuid}", permission=WRITE, audit="article.update")
    async def update(
        self,
        article_id: FromPath[UUID],
        data: JSONBody[ArticleEdit],
        articles: NamedDependency[ArticleService],
        if_match: IfMatch = None,
    ) -> Response[ArticleRead]:
        """Change the fields of an article that are sent: a new version, which readers do not see yet."""
        article = await articles.update(article_id, data, reason=data.reason, expected=versions(if_match))
        return await _with_version(articles, article)

    @delete("/{article_id:uuid}", permission=WRITE, audit="article.delete")
    async def discard(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService], if_match: IfMatch = None
    ) -> None:
        """Delete an article. What readers see needs `articles:publish` too."""
        await articles.delete(article_id, expected=versions(if_match))

    @post("/{article_id:uuid}/versions/{number:int}/restoration", permission=WRITE, audit="article.restore")
    async def restore(
        self,
        article_id: FromPath[UUID],
        number: FromPath[int],
        articles: NamedDependency[ArticleService],
        if_match: IfMatch = None,
    ) -> Response[ArticleRead]:
        """Write the content of an earlier version again, as the newest."""
        return await _with_version(
            articles, await articles.restore(article_id, number, expected=versions(if_match)), 201
        )

    @post("/{article_id:uuid}/submission", permission=WRITE, audit="article.submit", status_code=200)
    async def submit(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService], if_match: IfMatch = None
    ) -> Response[ArticleRead]:
        """Hand the newest version in for review. Submitting what waits already answers the same and changes nothing."""
        return await _with_version(articles, await articles.submit(article_id, expected=versions(if_match)))

    @delete("/{article_id:uuid}/submission", permission=WRITE, audit="article.withdraw")
    async def withdraw(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService], if_match: IfMatch = None
    ) -> None:
        """Take an article back from review. One that does not wait stays as it is."""
        await articles.withdraw(article_id, expected=versions(if_match))

    @get("/{article_id:uuid}/publication", permission=READ)
    async def publication(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService]
    ) -> Response[PublicationRead]:
        """Read what readers see of an article, whatever its draft says."""
        found = await articles.publication(article_id)
        return Response(publication_read(found, await articles.filed([found])), headers=etag(found.number))

    @post("/{article_id:uuid}/publication", permission=PUBLISH, audit="article.publish", status_code=200)
    async def publish(
        self,
        article_id: FromPath[UUID],
        articles: NamedDependency[ArticleService],
        data: JSONBody[PublicationWish | None] = None,
        if_match: IfMatch = None,
    ) -> Response[ArticleRead]:
        """Show a version to readers, the newest where none is named. What they see already changes nothing."""
        number = data.version if data else None
        return await _with_version(
            articles, await articles.publish(article_id, number=number, expected=versions(if_match))
        )

    @delete("/{article_id:uuid}/publication", permission=PUBLISH, audit="article.unpublish")
    async def unpublish(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService], if_match: IfMatch = None
    ) -> None:
        """Take an article from readers. One that they do not see stays as it is."""
        await articles.unpublish(article_id, expected=versions(if_match))

    @post("/batches", permission=PUBLISH, audit="article.treat", status_code=202)
    async def treat(self, data: JSONBody[BatchCreate], articles: NamedDependency[ArticleService]) -> BatchRead:
        """Publish, unpublish or delete many articles, by a job. To delete needs `articles:write` too."""
        return BatchRead(job_id=await articles.treat(data.treatment, data.ids))


class TenantArticleController(ArticleController):
    """The articles of any tenant, for the owner, who acts there with the rights of that tenant."""

    path = "/tenants/{tenant_id:uuid}/articles"
    opt = {"in_tenant": True}  # noqa: RUF012


class OwnerArticleController(Controller):
    """All tenants' articles, to read."""

    path = "/articles"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        articles: NamedDependency[ArticleService],
        pager: NamedDependency[Pager],
        asked: NamedDependency[ArticleQuery],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> OwnedArticlePage:
        """List articles of all tenants, without bodies; filters and order as tenants have them, and `tenantId`."""
        page = await articles.search(pager, asked.filter(), limit=limit, cursor=cursor)
        filed = await articles.filed(page.items)
        items = [owned(row, filed) for row in page.items]
        return OwnedArticlePage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)


class PublicationController(Controller):
    """For whoever shows articles to readers."""

    path = "/publications"

    @get("/", permission=READ, cached=ARTICLE_ANSWERS)
    async def index(
        self,
        articles: NamedDependency[ArticleService],
        pager: NamedDependency[Pager],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
        language: FromQuery[str | None] = None,
        q: FromQuery[str | None] = None,
        tag: FromQuery[str | None] = None,
        category: FromQuery[str | None] = None,
    ) -> PublicationPage:
        """List what readers see, without bodies: the newest first, or with `q` one page of what fits best.

        `tag` and `category` take slugs.
        """
        language, words = text_of("language", language), text_of("q", q)
        terms = text_of("tag", tag), text_of("category", category)
        page = await articles.publications(pager, language, words, *terms, limit=limit, cursor=cursor)
        filed = await articles.filed(page.items)
        items = [publication_item(row, filed) for row in page.items]
        return PublicationPage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)


async def _with_version(
    articles: ArticleService, article: Article, status: int = 200, location: str | None = None
) -> Response[ArticleRead]:
    headers = etag(article.version) | ({"Location": location} if location else {})
    return Response(read(article, await articles.filed([article])), status_code=status, headers=headers)
