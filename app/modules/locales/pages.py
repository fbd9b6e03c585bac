"""`/locales` in the dashboards: a site's languages, and what its interface says in each; the owner's below a tenant."""

from typing import Any
from urllib.parse import quote

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template
from msgspec import json

from app.core.errors import NotFound
from app.core.listing import asked_of, kept
from app.core.paging import Pager
from app.core.queries import text_of
from app.core.templating import gone_to, home_of, render, told
from app.core.uploads import upload_of
from app.modules.locales.permissions import READ, WRITE
from app.modules.locales.schemas import LocaleChange, LocaleForm, TextFilter, TextForm, texts_of
from app.modules.locales.service import LocaleService
from app.modules.tenants.service import TenantService

LISTED = ("q", "missing")


class Views:
    """What this module shows: each a whole page, or for HTMX the fragment that an act changed."""

    def __init__(
        self, request: Request[Any, Any, Any], locales: LocaleService, tenants: TenantService, pager: Pager
    ) -> None:
        self.locales = locales
        self._request, self._tenants, self._pager = request, tenants, pager

    async def index(self) -> Template:
        context = await self._common() | {"items": await self.locales.all()}
        return render(self._request, "locales/index.html", context, fragment="locales/_list.html")

    async def show(self, code: str, fragment: str) -> Template:
        context = await self._common() | {"row": await self.locales.show(code)}
        return render(self._request, "locales/show.html", context, fragment=f"locales/{fragment}.html")

    async def texts(self, code: str, params: dict[str, str], cursor: str | None = None) -> Template:
        items = await self.locales.all()
        row = await self.locales.show(code)
        wanted = TextFilter(text_of("q", params.get("q")), params.get("missing") == "true")
        page, own = await self.locales.search(self._pager, code, wanted, cursor=cursor)
        context = await self._common() | {
            "row": row,
            "default": next(one for one in items if one.default),
            "others": items,
            "page": page,
            "own": own,
            "params": params,
            "cursor": cursor,
        }
        return render(self._request, "locales/texts.html", context, fragment="locales/_texts.html")

    async def again(self, code: str) -> Template:
        """The texts as the reader has them, after an act on them."""
        return await self.texts(code, *kept(self._request, f"{home_of(self._request)}/locales/{code}/texts", LISTED))

    async def entry(self, code: str, key: str, fragment: str) -> Template:
        said, own = await self.locales.said(code, key)
        items = await self.locales.all()
        context = await self._common() | {
            "row": await self.locales.show(code),
            "default": next(one for one in items if one.default),
            "key": key,
            "said": said,
            "own": own,
        }
        return render(self._request, "locales/text.html", context, fragment=f"locales/{fragment}.html")

    async def _common(self) -> dict[str, Any]:
        home, tenant_id = home_of(self._request), self.locales.tenant_id
        tenant = await self._tenants.called(tenant_id)
        return {"tenant_id": tenant_id, "tenant": tenant, "home": home, "path": f"{home}/locales"}


class LocalePages(Controller):
    """The languages of the tenant that the reader belongs to."""

    path = "/locales"

    @get("/", permission=READ)
    async def index(self, views: NamedDependency[Views]) -> Template:
        return await views.index()

    @post("/", permission=WRITE, audit="locale.create", status_code=200)
    async def create(self, views: NamedDependency[Views], data: URLEncodedBody[LocaleForm]) -> Template:
        made = await views.locales.create(data.new())
        return told(await views.index(), f"{made.name} is there.")

    @get("/{code:str}", permission=READ)
    async def show(self, views: NamedDependency[Views], code: FromPath[str]) -> Template:
        return await views.show(code, "_drawer")

    @post("/{code:str}", permission=WRITE, audit="locale.update", status_code=200)
    async def update(
        self, views: NamedDependency[Views], code: FromPath[str], data: URLEncodedBody[LocaleForm]
    ) -> Template:
        expected = None if data.version is None else {data.version}
        row = await views.locales.change(code, data.change(), expected=expected)
        return told(await views.show(row.code, "_locale"), f"{row.name} is changed.")

    @post("/{code:str}/default", permission=WRITE, audit="locale.update", status_code=200)
    async def make_default(self, views: NamedDependency[Views], code: FromPath[str]) -> Template:
        row = await views.locales.change(code, LocaleChange(default=True, enabled=True))
        return told(await views.show(row.code, "_locale"), f"{row.name} is the default now.")

    @post("/{code:str}/removal", permission=WRITE, audit="locale.delete", status_code=200)
    async def discard(
        self, request: Request[Any, Any, Any], views: NamedDependency[Views], code: FromPath[str]
    ) -> Response[bytes]:
        await views.locales.delete(code)
        return gone_to(f"{home_of(request)}/locales")

    @get("/{code:str}/texts", permission=READ)
    async def texts(
        self, request: Request[Any, Any, Any], views: NamedDependency[Views], code: FromPath[str]
    ) -> Template:
        return await views.texts(code, *asked_of(request.query_params, LISTED))

    @post("/{code:str}/texts", permission=WRITE, audit="locale.texts", status_code=200)
    async def add(self, views: NamedDependency[Views], code: FromPath[str], data: URLEncodedBody[TextForm]) -> Template:
        await views.locales.write(code, data.texts())
        return told(await views.again(code), f"{data.key} is written.")

    @get("/{code:str}/file", permission=READ)
    async def fetch(
        self, views: NamedDependency[Views], code: FromPath[str], fallback: FromQuery[bool] = False
    ) -> Response[bytes]:
        found = await views.locales.bundle(code, fallback=fallback)
        headers = {"Content-Disposition": f'attachment; filename="{found.locale}.json"'}
        body = json.format(json.encode(found.texts), indent=2)
        return Response(body, media_type="application/json", headers=headers)

    @post("/{code:str}/file", permission=WRITE, audit="locale.texts", status_code=200)
    async def bring(
        self, request: Request[Any, Any, Any], views: NamedDependency[Views], code: FromPath[str]
    ) -> Template:
        done = await views.locales.write(code, texts_of((await upload_of(request)).data))
        return told(await views.again(code), f"Written: {done.written}, deleted: {done.deleted}.")

    @get("/{code:str}/texts/{key:str}", permission=READ)
    async def text(self, views: NamedDependency[Views], code: FromPath[str], key: FromPath[str]) -> Template:
        return await views.entry(code, key, "_text_drawer")

    @post("/{code:str}/texts/{key:str}", permission=WRITE, audit="locale.texts", status_code=200)
    async def write(
        self, views: NamedDependency[Views], code: FromPath[str], key: FromPath[str], data: URLEncodedBody[TextForm]
    ) -> Template:
        data.key = key
        await views.locales.write(code, data.texts())
        return told(await views.entry(code, key, "_text"), f"{key} is written.")

    @post("/{code:str}/texts/{key:str}/removal", permission=WRITE, audit="locale.texts", status_code=200)
    async def take(
        self, request: Request[Any, Any, Any], views: NamedDependency[Views], code: FromPath[str], key: FromPath[str]
    ) -> Response[bytes]:
        if not (await views.locales.write(code, {key: None})).deleted:
            raise NotFound("There is no text with this key")
        return gone_to(f"{home_of(request)}/locales/{quote(code)}/texts")


class TenantLocalePages(LocalePages):
    """The languages of any tenant, for the owner."""

    path = "/tenants/{tenant_id:uuid}/locales"
