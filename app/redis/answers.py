"""Answers of the API that may be some seconds old: `@get("/", permission=READ, cached=QUEUE_ANSWERS)`.

The guard has been asked before, always, and a sensitive read is in the access log before its answer leaves. What is
kept is the body of a 200 alone, under the path and the query, so that a route of the owner's may say so only if its
answer is the same for everybody who may ask. One of a tenant's is kept for this tenant, and for those who reach the
same workspaces.
"""

from hashlib import blake2s
from operator import itemgetter
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from litestar import MediaType, Request, Response
from litestar.datastructures import MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.core.access import note_hit
from app.core.policy import actor_of
from app.redis.cache import Cache
from app.redis.cached import Cached, Place

AnyRequest = Request[Any, Any, Any]
HIT, MISS, BYPASS = "HIT", "MISS", "BYPASS"
LONGEST_PATH = 200


class _Seen(msgspec.Struct, rename="camel"):
    """What the access log wants to know of an answer."""

    items: list[msgspec.Raw] | None = None
    tenant_id: UUID | None = None


async def from_cache(request: AnyRequest) -> Response[bytes] | None:
    """Litestar's `before_request`: the kept answer, or None, and then this request may have to make it for others.

    `Cache-Control: no-cache` wants it as it is now, and leaves what is kept alone.
    """
    kind: Cached[Any] | None = request.route_handler.opt.get("cached")
    # Whether the tenant that the owner names is there is asked with the first statement.
    if kind is None or request.method != "GET" or "in_tenant" in request.route_handler.opt:
        return None
    scope: dict[str, Any] = request.scope  # type: ignore[assignment]
    scope["x_cache"] = BYPASS
    if "no-cache" in request.headers.get("cache-control", ""):
        return None
    cache: Cache = request.app.state.cache
    place = place_of(kind, request.scope["path"], request.scope["query_string"], _sharers(kind, request))
    kept, flight = await cache.claims.claim(place)
    if flight is not None:
        scope["flight"] = (cache, place, flight)
        return None
    if kept is None:
        return None
    if "access" in request.route_handler.opt:
        seen = msgspec.json.decode(kept.body, type=_Seen)
        await note_hit(request, rows=1 if seen.items is None else len(seen.items), tenant_id=seen.tenant_id)
    scope["x_cache"] = HIT
    headers = {"Age": str(int(kept.age_s))}
    return Response(kept.body, media_type=MediaType.JSON, status_code=200, headers=headers)


class Sharers(NamedTuple):
    """Who gets the same answer: all who may ask, or those of this tenant who reach these workspaces (None: any)."""

    tenant_id: UUID | None = None
    workspaces: frozenset[UUID] | None = None


def place_of(kind: Cached[Any], path: str, query: bytes, sharers: Sharers) -> Place[Any]:
    """The same for parameters in another order; of one that is named twice, the order tells."""
    shown = path if len(path) <= LONGEST_PATH else path[:LONGEST_PATH] + _digest(path)
    asked: list[Any] = sorted(parse_qsl(query.decode("latin-1"), keep_blank_values=True), key=itemgetter(0))
    if sharers.workspaces is not None:
        asked.append(sorted(sharers.workspaces))
    return kind.place(f"{shown}?{_digest(repr(asked))}" if asked else shown, tenant=sharers.tenant_id)


def _sharers(kind: Cached[Any], request: AnyRequest) -> Sharers:
    if not kind.per_tenant:
        return Sharers()
    actor = actor_of(request)
    assert actor is not None  # the guard lets nobody else through
    return Sharers(actor.tenant_id, actor.reach(request.route_handler.opt["permission"]))


def _digest(text: str) -> str:
    return blake2s(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


class KeepAnswers:
    """Around the routes that `from_cache` stands before: keeps what they answer, and lets others load if they fail."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        within: dict[str, Any] = scope  # type: ignore[assignment]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                if "flight" in within:
                    within["x_cache"] = MISS if await _land(within, message["status"]) else BYPASS
                if "x_cache" in within:
                    MutableScopeHeaders.from_message(message)["X-Cache"] = within["x_cache"]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            if "flight" in within:
                cache, _, flight = within["flight"]
                cache.claims.give_up(flight)  # does nothing to one that has ended


async def _land(scope: dict[str, Any], status: int) -> bool:
    cache, place, flight = scope["flight"]
    body = getattr(scope.get("rendered"), "body", None)
    if status != 200 or body is None:
        cache.claims.fail(place, flight)
        return False
    await cache.claims.land(place, flight, bytes(body))
    return True
