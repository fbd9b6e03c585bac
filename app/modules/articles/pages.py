"""`/articles` in the dashboards: what all tenants wrote, and what one did."""

import re
from html import unescape
from typing import Any
from uuid import UUID

from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Invalid
from app.core.paging import Pager
from app.core.templating import prefix_of, render
from app.modules.articles import repository
from app.modules.articles.models import Status
from app.modules.articles.permissions import READ
from app.modules.articles.repository import ArticleFilter
from app.modules.articles.service import ArticleService
from app.modules.audit.service import tenant_names

_HEADING = re.compile(r"\s*<h1>(.*?)</h1>\s*", re.DOTALL)
_PICTURE = re.compile(r"(<a [^>]*>\s*)?<img([^>]*)>")
_TAG = re.compile(r"<[^>]*>")
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')


class ArticlePages(Controller):
    path = "/articles"

    @get("/", permission=READ)
    async def index(
        self,
        request: Request[Any, Any, Any],
        articles: NamedDependency[ArticleService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        title: FromQuery[str] = "",
        status: FromQuery[str] = "",
        tenant: FromQuery[str] = "",
        cursor: FromQuery[str] = "",
    ) -> Template:
        wanted = ArticleFilter(_id("tenant", tenant), _status(status), title=title.strip() or None)
        page = await articles.search(pager, wanted, cursor=cursor or None)
        params = {"title": title, "status": status, "tenant": tenant}
        context = {
            "path": f"{prefix_of(request)}/articles",
            "params": {name: value for name, value in params.items() if value},
            "cursor": cursor,
            "page": page,
            "tenants": await tenant_names(session, (row.tenant_id for row in page.items)),
            "choices": await repository.tenant_choices(session),
        }
        return render(request, "articles/index.html", context, fragment="articles/_list.html")

    @get("/{article_id:uuid}", permission=READ)
    async def show(
        self,
        request: Request[Any, Any, Any],
        article_id: FromPath[UUID],
        articles: NamedDependency[ArticleService],
        session: NamedDependency[AsyncSession],
        part: FromQuery[bool] = False,
    ) -> Template:
        article = await articles.get(article_id)
        names = await tenant_names(session, [article.tenant_id])
        context = {
            "path": f"{prefix_of(request)}/articles",
            "article": article,
            "body": for_reading(article.title, article.body_html),
            "tenant": names.get(article.tenant_id),
        }
        fragment = "articles/_article.html" if part else "articles/_drawer.html"
        return render(request, "articles/show.html", context, fragment=fragment)


def for_reading(title: str, html: str) -> str:
    """An article's HTML, sanitised when it was written, for a page of ours.

    Pictures become links, as the content security policy loads none from elsewhere and a tenant shall not learn who
    reads; a heading that only repeats the title is left out.
    """
    heading = _HEADING.match(html)
    if heading and " ".join(unescape(_TAG.sub("", heading[1])).split()) == title:
        html = html[heading.end() :]
    return _PICTURE.sub(_picture, html)


def _picture(found: re.Match[str]) -> str:
    link, attributes = found.groups()
    # Their values come escaped from the sanitiser, and go as they are into HTML again.
    given = dict(_ATTRIBUTE.findall(attributes))
    source, text = given.get("src", ""), given.get("alt") or "without a description"
    if link or not source.startswith(("http://", "https://")):
        return f"{link or ''}<span>[Picture: {text}]</span>"
    return f'<a href="{source}" rel="noopener noreferrer" target="_blank">[Picture: {text}]</a>'


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
