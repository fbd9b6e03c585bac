"""`/api/v1/articles`, for tenants' apps."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, Parameter, RequestBody, Schema
from litestar.params import FromPath, FromQuery, JSONBody

from app.core.errors import BadRequest, FieldError, Invalid
from app.core.etag import IfMatch, etag, versions
from app.core.paging import Pager
from app.core.wire import JsonRequest
from app.modules.articles.models import Article, Status
from app.modules.articles.permissions import PUBLISH, READ, WRITE
from app.modules.articles.repository import ArticleFilter
from app.modules.articles.schemas import MAX_TITLE, ArticleChange, ArticleCreate, ArticlePage, ArticleRead, item, read
from app.modules.articles.service import ArticleService, heading

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
        self, data: JSONBody[ArticleCreate], articles: NamedDependency[ArticleService]
    ) -> Response[ArticleRead]:
        """Write the draft of an article. `text/markdown` is taken too: the title is `?title=` or the first heading."""
        article = await articles.create(data)
        return _with_version(article, 201, location=f"/api/v1/articles/{article.id}")

    @get("/", permission=READ)
    async def index(
        self,
        articles: NamedDependency[ArticleService],
        pager: NamedDependency[Pager],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
        status: FromQuery[Status | None] = None,
        language: FromQuery[str | None] = None,
    ) -> ArticlePage:
        """List articles, newest first, without bodies."""
        wanted = ArticleFilter(status=status, language=language)
        page = await articles.search(pager, wanted, limit=limit, cursor=cursor)
        items = [item(row) for row in page.items]
        return ArticlePage(items=items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{article_id:uuid}", permission=READ)
    async def show(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService]
    ) -> Response[ArticleRead]:
        """Read one article."""
        return _with_version(await articles.get(article_id))

    @patch("/{article_id:uuid}", permission=WRITE, audit="article.update")
    async def update(
        self,
        article_id: FromPath[UUID],
        data: JSONBody[ArticleChange],
        articles: NamedDependency[ArticleService],
        if_match: IfMatch = None,
    ) -> Response[ArticleRead]:
        """Change the fields of an article that are sent. With `If-Match` only if it is still at that version."""
        return _with_version(await articles.update(article_id, data, expected=versions(if_match)))

    @delete("/{article_id:uuid}", permission=WRITE, audit="article.delete")
    async def discard(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService], if_match: IfMatch = None
    ) -> None:
        """Delete an article."""
        await articles.delete(article_id, expected=versions(if_match))

    @post("/{article_id:uuid}/submission", permission=WRITE, audit="article.submit", status_code=200)
    async def submit(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService], if_match: IfMatch = None
    ) -> Response[ArticleRead]:
        """Hand a draft in for review. Submitting what waits already answers the same and changes nothing."""
        return _with_version(await articles.submit(article_id, expected=versions(if_match)))

    @delete("/{article_id:uuid}/submission", permission=WRITE, audit="article.withdraw")
    async def withdraw(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService], if_match: IfMatch = None
    ) -> None:
        """Take a draft back from review. One that does not wait stays as it is."""
        await articles.withdraw(article_id, expected=versions(if_match))

    @post("/{article_id:uuid}/publication", permission=PUBLISH, audit="article.publish", status_code=200)
    async def publish(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService], if_match: IfMatch = None
    ) -> Response[ArticleRead]:
        """Publish an article. Publishing what is published answers the same and changes nothing."""
        return _with_version(await articles.publish(article_id, expected=versions(if_match)))

    @delete("/{article_id:uuid}/publication", permission=PUBLISH, audit="article.unpublish")
    async def unpublish(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService], if_match: IfMatch = None
    ) -> None:
        """Make an article a draft again. A draft stays one."""
        await articles.unpublish(article_id, expected=versions(if_match))


def _with_version(article: Article, status: int = 200, location: str | None = None) -> Response[ArticleRead]:
    headers = etag(article.version) | ({"Location": location} if location else {})
    return Response(read(article), status_code=status, headers=headers)
