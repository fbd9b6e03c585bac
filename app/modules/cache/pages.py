"""`/dashboard/owner/cache`: what is cached, how Redis fares, and buttons that drop."""

import json
from typing import Any

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.response import Template

from app.core.errors import Unavailable
from app.core.templating import PREFIX, render
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
        try:
            sample = await caching.keys()
        except Unavailable:
            sample = None
        return render(request, "cache/keys.html", {"sample": sample, "path": PATH}, fragment="cache/_keys.html")

    @post("/clear", permission=MANAGE, audit="owner.cache.clear", status_code=200)
    async def clear(self, request: AnyRequest, caching: NamedDependency[CacheService]) -> Template:
        form = await request.form()
        given = {name: str(form.get(name) or "") or None for name in ("key", "tag", "area")}
        done = await caching.clear(CacheClear(**given, all=bool(form.get("all"))))
        view = await (self.keys.fn(self, request, caching) if given["key"] else shown(request, caching))
        count = "" if done.keys is None else f": {done.keys} key{'' if done.keys == 1 else 's'}"
        view.headers["HX-Trigger"] = json.dumps({"toast": {"message": f"Dropped {done.what}{count}", "tone": "ok"}})
        return view


async def shown(request: AnyRequest, caching: CacheService) -> Template:
    context = {"stats": await caching.stats(), "tags": caching.tags, "areas": caching.areas, "path": PATH}
    return render(request, "cache/index.html", context, fragment="cache/_cache.html")
