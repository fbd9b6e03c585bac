"""How much a caller may ask of the API: one table, and the door that counts by it before anything else is done.

Sign-ins and codes are not here: they are counted in PostgreSQL, and stay closed when Redis is gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from litestar import Request
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils import normalize_path

from app.core.answers import answer
from app.core.errors import RateLimited
from app.core.policy import Actor, AnyConnection
from app.core.settings import Settings


class Window(NamedTuple):
    """So many calls in any stretch of so many seconds. A call that says `cost=5` beside its route is five."""

    most: int
    per_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one call, about the window that has the least left, or that refused.

    `reset_s` is when all of the window would be free again; `retry_after_s`, 0 where the call is allowed, is when the
    same call would be. Both are seconds from now.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_s: float
    retry_after_s: float = 0.0

    def headers(self) -> dict[str, str]:
        found = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(_up(self.reset_s)),
        }
        return found if self.allowed else found | {"Retry-After": str(_up(self.retry_after_s))}


class Limiter(Protocol):
    """The port that `app/redis` fills. Neither call raises, or waits for more than a moment."""

    async def take(self, who: str, windows: Sequence[Window], cost: int = 1) -> Verdict:
        """Count a call against all windows, or against none where one of them has no room."""
        ...

    async def used(self, who: str, window: Window) -> int | None:
        """How many calls are in the window now; None while nobody knows."""
        ...

    def refused(self, who: str) -> Verdict | None:
        """What this process last heard of a caller, while it still holds that there is no room."""
        ...


MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
# A caller with a token has its plan's windows; none is no limit, for programs of the platform's own.
PLANS: Mapping[str, tuple[Window, ...]] = {
    "standard": (Window(100, MINUTE_S), Window(1_000, HOUR_S)),
    "plus": (Window(600, MINUTE_S), Window(12_000, HOUR_S)),
    "unlimited": (),
}
# Calls under /api whose caller is not known, by address. It is generous, because the address is then closed to all.
UNKNOWN = (Window(300, MINUTE_S),)


class Limits:
    """The table, applied: who is counted as what, by which windows."""

    def __init__(self, settings: Settings, limiter: Limiter) -> None:
        self._limiter = limiter
        self._owner = (Window(settings.rate_limit_max, settings.rate_limit_window_ms / 1000),)

    async def at_owner_door(self, address: str | None) -> Verdict:
        """`/api/owner`, before it is asked who calls."""
        return await self._limiter.take(f"owner:{neighbours(address)}", self._owner)

    async def unknown(self, address: str | None) -> Verdict:
        return await self._limiter.take(f"unknown:{neighbours(address)}", UNKNOWN)

    def unknown_refused(self, address: str | None) -> Verdict | None:
        return self._limiter.refused(f"unknown:{neighbours(address)}")

    async def admit(self, connection: AnyConnection, actor: Actor) -> None:
        """Count a known caller of `/api/v1` by its plan; a person is counted like a token.

        Raises:
            RateLimited.
        """
        if not under(connection.scope["path"], "/api/v1"):
            return
        cost: int = connection.route_handler.opt.get("cost", 1)
        if windows := PLANS[actor.plan]:
            verdict = await self._limiter.take(f"{actor.kind}:{actor.id}", windows, cost)
            connection.scope["rate_limit"] = verdict  # type: ignore[typeddict-unknown-key]
            if not verdict.allowed:
                raise RateLimited
        # After the plan: what one program is refused is not taken from what all of its tenant's have.
        if actor.calls_per_day is not None:
            await self._of_today(connection, actor.tenant_id, actor.calls_per_day, cost)

    async def _of_today(self, connection: AnyConnection, tenant_id: UUID, most: int, cost: int) -> None:
        # A window that holds none would let all through.
        verdict = await self._limiter.take(today(tenant_id), [Window(most, DAY_S)], cost) if most else None
        if verdict is None or not verdict.allowed:
            connection.scope["rate_limit"] = verdict  # type: ignore[typeddict-unknown-key]
            raise CallsUsedUp(f"API calls per day: this tenant may have {most:,} and has had them")


def today(tenant_id: UUID) -> str:
    """Whose calls of the last 24 hours are counted, all tokens and clients of a tenant together."""
    return f"tenant:{tenant_id}"


class CallsUsedUp(RateLimited):
    code = "quota_exceeded"


class Door:
    """Counts by address what can be counted so, in front of routing, guard and body.

    A call that comes with credentials is let in to have them looked at, and counted by its address afterwards, if they
    were none. Once an address has no room left, its calls are refused before that.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = normalize_path(scope["path"])  # as the router does, which knows //api//owner too
        if scope["type"] != ScopeType.HTTP or scope["method"] == "OPTIONS" or not under(path, "/api"):
            await self._app(scope, receive, send)
            return
        address: str | None = scope.get("client_address")  # type: ignore[assignment]
        if under(path, "/api/owner"):
            verdict: Verdict | None = await self._limits.at_owner_door(address)
        elif _has_credentials(scope):
            verdict = self._limits.unknown_refused(address)
            send = self._counting(scope, address, send)
        else:
            verdict = await self._limits.unknown(address)
        if verdict is not None:
            scope["rate_limit"] = verdict  # type: ignore[typeddict-unknown-key]
            if not verdict.allowed:
                await self._refuse(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _counting(self, scope: Scope, address: str | None, send: Send) -> Send:
        async def counted(message: Message) -> None:
            mine = message["type"] == "http.response.start" and message["status"] < 500
            if mine and scope.get("actor") is None and "rate_limit" not in scope:
                scope["rate_limit"] = await self._limits.unknown(address)  # type: ignore[typeddict-unknown-key]
            await send(message)

        return counted

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: Request[Any, Any, Any] = Request(scope, receive, send)
        response = answer(request, RateLimited()).to_asgi_response(app=None, request=request)
        await response(scope, receive, send)


def under(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _has_credentials(scope: Scope) -> bool:
    headers = Headers.from_scope(scope)
    return "authorization" in headers or "cookie" in headers


def neighbours(address: str | None) -> str:
    """Whom to count as one: an address of version 4, or the network that one customer gets of version 6."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return "nowhere"  # a socket in the file system, or a client of the tests
    return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else str(found)


def _up(seconds: float) -> int:
    return int(-(-seconds // 1))
