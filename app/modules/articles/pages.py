"""`/articles` in the dashboards: what all tenants wrote, and what one did; writing, and what leads to readers.

The owner reads under `/articles` and acts under `/tenants/{id}/articles`, with that tenant's rights.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect, Template
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.errors import Invalid
from app.core.markdown import for_reading
from app.core.paging import Page, Pager
from app.core.policy import Actor
from app.core.queries import uuid_of
from app.core.templating import PREFIX, gone_to, home_of, prefix_of, render, state_label, told
from app.modules.articles import repository
from app.modules.articles.models import Article, Status
from app.modules.articles.permissions import PUBLISH, READ, WRITE
from app.modules.articles.schemas import ActForm, ArticleForm, ArticleQuery, BatchForm
from app.modules.articles.service import SORTS, ArticleService, may, may_delete
from app.modules.audit.service import tenant_names
from app.modules.taxonomy.service import Terms, category_choices, tag_choices

FILTERS = ("q", "status", "language", "tag", "category", "tenantId", "from", "to", "sort")
AnyRequest = Request[Any, Any, Any]


class ArticlePages(Controller):
    path = "/articles"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        articles: NamedDependency[ArticleService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        asked: NamedDependency[ArticleQuery],
        cursor: FromQuery[str] = "",
    ) -> Template:
        page: Page[Row[Any]]
        refused: str | None
        scope, of_tenant = scope_of(session), None
        try:
            wanted = asked.filter()
            sort = pager.chosen(SORTS, wanted.text)
            of_tenant = wanted.tenant_id
            page, refused = await articles.search(pager, wanted, cursor=cursor or None), None
        except Invalid as problem:  # shown where the rows would be: rows that nobody asked for would mislead
            page, refused, sort = Page([], None, None), problem.detail, "-createdAt"
        context = {
            "path": f"{prefix_of(request)}/articles",
            "params": {name: request.query_params[name] for name in FILTERS if request.query_params.get(name)},
            "cursor": cursor,
            "page": page,
            "sort": sort,
            "refused": refused,
            "statuses": [(status, state_label(status).capitalize()) for status in Status],
            "languages": await repository.languages(session),
            "tenants": await tenant_names(session, (row.tenant_id for row in page.items)),
            "choices": await repository.tenant_choices(session),
            "batches": _batches(request, asked.tenant_id),
        }
        terms = await _terms(session, scope.tenant_id if scope.plane is Plane.TENANT else of_tenant)
        for name, chosen in (("tags", asked.tag), ("categories", asked.category)):
            if chosen and chosen not in dict(terms[name]):  # a filter that nobody sees would be a riddle
                terms[name].append((chosen, chosen))
        context |= terms
        status = 422 if refused else 200
        return render(request, "articles/index.html", context, fragment="articles/_list.html", status=status)

    @get("/{article_id:uuid}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        article_id: FromPath[UUID],
        actor: NamedDependency[Actor],
        articles: NamedDependency[ArticleService],
        session: NamedDependency[AsyncSession],
        part: FromQuery[bool] = False,
    ) -> Template:
        article = await articles.get(article_id)
        names = await tenant_names(session, [article.tenant_id])
        path = f"{prefix_of(request)}/articles"
        context = {
            "path": path,
            "home": _home(request, article),
            "article": article,
            "filed": (await articles.filed([article])).get(article.id, Terms()),
            "body": for_reading(article.title, article.body_html),
            "tenant": names.get(article.tenant_id),
            "mine": {right.name for right in (WRITE, PUBLISH) if may(actor, right, article)},
            "deletable": may_delete(actor, article),
        }
        fragment = "articles/_article.html" if part else "articles/_drawer.html"
        return render(request, "articles/show.html", context, fragment=fragment)


class OwnerArticlePages(ArticlePages):
    """The same over all tenants; who writes chooses for which."""

    @get("/new", permission=WRITE)
    async def new(self, tenant: FromQuery[str] = "") -> Redirect:
        """Without a choice back to the list, which asks for it."""
        chosen = uuid_of("tenant", tenant)
        return Redirect(f"{PREFIX}/tenants/{chosen}/articles/new" if chosen else f"{PREFIX}/articles")


class ArticleWriting(Controller):
    """What changes an article of one tenant."""

    path = "/articles"

    @get("/new", permission=WRITE)
    async def new(self, request: AnyRequest, session: NamedDependency[AsyncSession]) -> Template:
        context = {
            "path": f"{prefix_of(request)}/articles",
            "home": f"{home_of(request)}/articles",
            "article": None,
            "filed": Terms(),
            "languages": await repository.languages(session),
            **await _terms(session, scope_of(session).tenant_id),
        }
        return render(request, "articles/edit.html", context, fragment="articles/_form.html")

    @post("/", permission=WRITE, audit="article.create", status_code=200)
    async def create(
        self, request: AnyRequest, articles: NamedDependency[ArticleService], data: URLEncodedBody[ArticleForm]
    ) -> Response[bytes]:
        article = await articles.create(data.new(), reason=data.reason.strip() or None)
        return gone_to(f"{prefix_of(request)}/articles/{article.id}")

    @get("/{article_id:uuid}/edit", permission=WRITE)
    async def edit(
        self,
        request: AnyRequest,
        article_id: FromPath[UUID],
        articles: NamedDependency[ArticleService],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        article = await articles.get(article_id, WRITE)
        context = {
            "path": f"{prefix_of(request)}/articles",
            "home": _home(request, article),
            "article": article,
            "filed": (await articles.filed([article])).get(article.id, Terms()),
            "languages": await repository.languages(session),
            **await _terms(session, article.tenant_id),
        }
        return render(request, "articles/edit.html", context, fragment="articles/_form.html")

    @post("/{article_id:uuid}", permission=WRITE, audit="article.update", status_code=200)
    async def update(
        self,
        request: AnyRequest,
        article_id: FromPath[UUID],
        articles: NamedDependency[ArticleService],
        data: URLEncodedBody[ArticleForm],
    ) -> Response[bytes]:
        expected = None if data.version is None else {data.version}
        reason = data.reason.strip() or None
        await articles.update(article_id, data.change(), reason=reason, expected=expected)
        return gone_to(f"{prefix_of(request)}/articles/{article_id}")

    @post("/{article_id:uuid}/submission", permission=WRITE, audit="article.submit", status_code=200)
    async def submit(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService], data: URLEncodedBody[ActForm]
    ) -> Response[bytes]:
        return await _told(articles.submit, article_id, data, "{} waits for review.")

    @post("/{article_id:uuid}/withdrawal", permission=WRITE, audit="article.withdraw", status_code=200)
    async def withdraw(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService], data: URLEncodedBody[ActForm]
    ) -> Response[bytes]:
        return await _told(articles.withdraw, article_id, data, "{} is a draft again.")

    @post("/{article_id:uuid}/publication", permission=PUBLISH, audit="article.publish", status_code=200)
    async def publish(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService], data: URLEncodedBody[ActForm]
    ) -> Response[bytes]:
        return await _told(articles.publish, article_id, data, "Readers see {} now.")

    @post("/{article_id:uuid}/unpublication", permission=PUBLISH, audit="article.unpublish", status_code=200)
    async def unpublish(
        self, article_id: FromPath[UUID], articles: NamedDependency[ArticleService], data: URLEncodedBody[ActForm]
    ) -> Response[bytes]:
        return await _told(articles.unpublish, article_id, data, "Readers see {} no more.")

    @post("/batches", permission=PUBLISH, audit="article.treat", status_code=200)
    async def treat(
        self, articles: NamedDependency[ArticleService], data: URLEncodedBody[BatchForm]
    ) -> Response[bytes]:
        ids = data.chosen()
        await articles.treat(data.treatment, ids)
        return _saying(f"{len(ids)} article{'s' if len(ids) > 1 else ''} will be treated in a moment.")

    @post("/{article_id:uuid}/removal", permission=WRITE, audit="article.delete", status_code=200)
    async def remove(
        self,
        request: AnyRequest,
        article_id: FromPath[UUID],
        articles: NamedDependency[ArticleService],
        data: URLEncodedBody[ActForm],
    ) -> Response[bytes]:
        await articles.delete(article_id, expected=data.expected)
        return gone_to(f"{prefix_of(request)}/articles")


class TenantArticleWriting(ArticleWriting):
    """The same for the owner, in any tenant."""

    path = "/tenants/{tenant_id:uuid}/articles"
    opt = {"in_tenant": True}  # noqa: RUF012


async def _terms(session: AsyncSession, tenant_id: UUID | None) -> dict[str, list[tuple[str, str]]]:
    """What there is to choose from; nothing where the articles of all tenants are shown."""
    if tenant_id is None:
        return {"categories": [], "tags": []}
    categories, tags = await category_choices(session, tenant_id), await tag_choices(session, tenant_id)
    return {
        "categories": [(row.slug, "\N{EN DASH} " * row.depth + row.name) for row in categories],
        "tags": [(row.slug, row.name) for row in tags],
    }


def _batches(request: AnyRequest, tenant_id: str | None) -> str | None:
    """Where ticked articles are acted on; the owner acts in one tenant at a time, the one that the list is of."""
    own = prefix_of(request)
    if own != PREFIX:
        return f"{own}/articles/batches"
    return f"{own}/tenants/{tenant_id}/articles/batches" if tenant_id else None


def _home(request: AnyRequest, article: Article) -> str:
    """Where what acts on the article stands: for the owner below its tenant."""
    own = prefix_of(request)
    return f"{own}/tenants/{article.tenant_id}/articles" if own == PREFIX else f"{own}/articles"


async def _told(
    act: Callable[..., Awaitable[Article]], article_id: UUID, data: ActForm, message: str
) -> Response[bytes]:
    """Act and say so; whoever shows the article hears of it by a signal."""
    article = await act(article_id, expected=data.expected)
    return _saying(message.format(f"“{article.title}”"))


def _saying(message: str) -> Response[bytes]:
    return told(Response(b""), message)
