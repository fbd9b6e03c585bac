"""`/dashboard/owner/cache`: what is cached, how Redis fares, and buttons that drop."""

from typing import Any

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import URLEncodedBody
from litestar.response import Template

from app.core.errors import Unavailable
from app.core.templating import PREFIX, render, told
from app.modules.cache.permissions import MANAGE, READ
from app.modules.cache.schemas import CacheClear
from app.modules.cache.service import CacheService

AnyRequest = Request[Any, Any, Any]
PATH = f"{PREFIX}/cache"


class CachePages(Controller):
    path = "/cache"

    @get("/", permission=READ)
    async def index(self, request: AnyRequest, caching: NamedDependency[CacheService]) -> Template:
        return await shown(request, caching)

    @get("/keys", permission=READ)
    async def keys(self, request: AnyRequest, caching: NamedDependency[CacheService]) -> Template:
        """The sample, which is taken when somebody asks, and not by the clock."""
        return await sampled(request, caching)

    @post("/clear", permission=MANAGE, audit="owner.cache.clear", status_code=200)
    async def clear(
        self, request: AnyRequest, caching: NamedDependency[CacheService], data: URLEncodedBody[CacheClear]
    ) -> Template:
        done = await caching.clear(data)
        view = await (sampled if data.key else shown)(request, caching)
        count = "" if done.keys is None else f": {done.keys} key{'' if done.keys == 1 else 's'}"
        return told(view, f"Dropped {done.what}{count}")


async def shown(request: AnyRequest, caching: CacheService) -> Template:
    context = {"stats": await caching.stats(), "tags": caching.tags, "areas": caching.areas, "path": PATH}
    return render(request, "cache/index.html", context, fragment="cache/_cache.html")


async def sampled(request: AnyRequest, caching: CacheService) -> Template:
    try:
        sample = await caching.keys()
    except Unavailable:
        sample = None
    return render(request, "cache/keys.html", {"sample": sample, "path": PATH}, fragment="cache/_keys.html")
