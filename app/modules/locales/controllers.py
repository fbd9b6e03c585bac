"""`/api/v1/locales`, for tenants' apps; the same below a tenant, for the owner."""

from hashlib import blake2s
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody
from msgspec import json

from app.core.etag import IfMatch, etag, versions
from app.modules.locales.permissions import READ, WRITE
from app.modules.locales.schemas import (
    Bundle,
    LocaleChange,
    LocaleCreate,
    LocaleList,
    LocaleRead,
    TextsChange,
    TextsChanged,
)
from app.modules.locales.service import LocaleService

IfNoneMatch = Annotated[str | None, HeaderParameter(name="If-None-Match", description="the ETag that is there already")]


class LocaleController(Controller):
    path = "/locales"

    @get("/", permission=READ)
    async def index(self, locales: NamedDependency[LocaleService]) -> LocaleList:
        """List the languages of a site in their places, with how many texts each lacks."""
        return LocaleList(items=await locales.all())

    @post("/", permission=WRITE, audit="locale.create")
    async def create(
        self, request: Request[Any, Any, Any], data: JSONBody[LocaleCreate], locales: NamedDependency[LocaleService]
    ) -> Response[LocaleRead]:
        """Make a language. The first one is the default."""
        made = await locales.create(data)
        place = f"{request.url.path.rstrip('/')}/{made.code}"
        return Response(made, status_code=201, headers=etag(made.version) | {"Location": place})

    @get("/{code:str}", permission=READ)
    async def show(self, code: FromPath[str], locales: NamedDependency[LocaleService]) -> Response[LocaleRead]:
        """Read one language."""
        return _one(await locales.show(code))

    @patch("/{code:str}", permission=WRITE, audit="locale.update")
    async def update(
        self,
        code: FromPath[str],
        data: JSONBody[LocaleChange],
        locales: NamedDependency[LocaleService],
        if_match: IfMatch = None,
    ) -> Response[LocaleRead]:
        """Change a language, or make it the default: one that has every key."""
        return _one(await locales.change(code, data, expected=versions(if_match)))

    @delete("/{code:str}", permission=WRITE, audit="locale.delete")
    async def discard(
        self, code: FromPath[str], locales: NamedDependency[LocaleService], if_match: IfMatch = None
    ) -> None:
        """Delete a language with its texts. Articles in it stay."""
        await locales.delete(code, expected=versions(if_match))

    @get("/{code:str}/texts", permission=READ)
    async def texts(
        self,
        request: Request[Any, Any, Any],
        code: FromPath[str],
        locales: NamedDependency[LocaleService],
        fallback: FromQuery[bool] = True,
        if_none_match: IfNoneMatch = None,
    ) -> Response[Bundle]:
        """Read all that the interface says in a language; where it lacks a text, the default one's stands."""
        state = request.app.state
        found = await locales.kept_bundle(code, state.database, state.cache, fallback=fallback)
        headers = {
            "ETag": f'"{blake2s(json.encode(found), digest_size=16).hexdigest()}"',
            "Cache-Control": "private, no-cache",
        }
        if headers["ETag"] in (if_none_match or ""):
            nothing: Any = b""
            return Response(nothing, status_code=304, headers=headers)
        return Response(found, headers=headers)

    @patch("/{code:str}/texts", permission=WRITE, audit="locale.texts")
    async def write(
        self, code: FromPath[str], data: JSONBody[TextsChange], locales: NamedDependency[LocaleService]
    ) -> TextsChanged:
        """Write texts of a language, all or none; null deletes one."""
        return await locales.write(code, data.texts)


class TenantLocaleController(LocaleController):
    """The same for the owner, in any tenant."""

    path = "/tenants/{tenant_id:uuid}/locales"
    opt = {"in_tenant": True}  # noqa: RUF012


def _one(found: LocaleRead) -> Response[LocaleRead]:
    return Response(found, headers=etag(found.version))
