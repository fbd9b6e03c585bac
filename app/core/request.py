"""What surrounds every request: its id, its log line, its security headers, and the trace of a failed change."""

import asyncio
import re
import time
from contextlib import suppress
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any
from uuid import UUID

import structlog
from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.routes import HTTPRoute
from litestar.status_codes import HTTP_413_REQUEST_ENTITY_TOO_LARGE
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.core.database import Plane
from app.core.errors import RateLimited
from app.core.ids import new_id
from app.core.metrics import Requests
from app.core.policy import UNSAFE, Actor, Attempt, Audit
from app.core.settings import Settings

log = structlog.get_logger("access")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
UUID_LENGTH = 36
SWALLOWED, SWALLOW_S = 64 * 1024 * 1024, 2.0
SECURITY_HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    # Answers are one caller's, known by a cookie as well: no proxy keeps what does not say that it may be kept.
    "cache-control": "no-store",
}


def client_address(scope: Scope, trusted: tuple[str, ...]) -> str | None:
    """The caller's address. `X-Forwarded-For` counts only as far as trusted proxies wrote it.

    One of version 4 that comes in the clothes of version 6, `::ffff:192.0.2.1`, is told as the one that it is.
    """
    client = scope.get("client")
    address = client[0] if client else None
    with suppress(ValueError):  # no address, but a socket in the file system
        address = _plain(address or "")
    if not trusted or address is None:
        return address
    networks = [ip_network(item, strict=False) for item in trusted]
    forwarded = Headers.from_scope(scope).get("x-forwarded-for", "")
    for hop in [*reversed([part.strip() for part in forwarded.split(",") if part.strip()])]:
        if not any(ip_address(address) in network for network in networks):
            return address
        try:
            address = _plain(hop)
        except ValueError:
            return address
    return address


def _filed_under(scope: Scope, actor: Actor) -> UUID:
    """Whose log tells of what an actor tried: the platform's people try it on the tenant that the address names."""
    named: object = scope["path_params"].get("tenant_id")
    return named if actor.plane is Plane.PLATFORM and isinstance(named, UUID) else actor.tenant_id


def _plain(address: str) -> str:
    found = ip_address(address)
    inside = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(inside or found)


def _chain(given: str) -> str:
    """The chain of cause and effect that a caller goes on with, or a new one."""
    if len(given) == UUID_LENGTH:
        with suppress(ValueError):
            return str(UUID(given))
    return str(new_id())


def correlation_id() -> UUID | None:
    """The id that runs from this request, or the job at hand, through everything it causes."""
    value = structlog.contextvars.get_contextvars().get("correlation_id")
    return UUID(value) if value else None


def _methods(scope: Scope) -> list[str]:
    """All that an address has. Litestar's own answer names those of the handler that was registered first."""
    routes = [route for route in scope["app"].routes if isinstance(route, HTTPRoute)]
    return sorted({m for route in routes if route.path_format == scope["path_template"] for m in route.methods})


async def _swallow(receive: Receive) -> None:
    """Read on, within bounds: most clients send all of a body first, and one that is cut off hears no answer."""
    left = SWALLOWED
    with suppress(TimeoutError):
        async with asyncio.timeout(SWALLOW_S):
            while left > 0 and (part := await receive())["type"] == "http.request" and part["more_body"]:
                left -= len(part["body"])


class RequestMiddleware:
    """Outermost: nothing is logged, audited or answered without the request's id."""

    def __init__(self, app: ASGIApp, *, settings: Settings, audit: Audit, requests: Requests) -> None:
        self._app = app
        self._requests = requests
        self._settings = settings
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers.from_scope(scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(new_id())
        chain = _chain(headers.get("x-correlation-id", ""))
        address = client_address(scope, self._settings.trusted_proxies)
        scope["request_id"] = request_id  # type: ignore[typeddict-unknown-key]
        scope["client_address"] = address  # type: ignore[typeddict-unknown-key]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            request_id=request_id,
            correlation_id=chain,
            client_ip=address,
            user_agent=headers.get("user-agent"),
        )
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                await self._trace_failure(scope, status, request_id, address, headers.get("user-agent"))
                if status == HTTP_413_REQUEST_ENTITY_TOO_LARGE:
                    await _swallow(receive)
                out = MutableScopeHeaders.from_message(message)
                if scope["method"] == "OPTIONS" and "path_template" in scope:
                    out["allow"] = ", ".join(_methods(scope))
                out["x-request-id"] = request_id
                out["x-correlation-id"] = chain
                for name, value in SECURITY_HEADERS.items():
                    out.setdefault(name, value)
                if (verdict := scope.get("rate_limit")) is not None:
                    for name, value in verdict.headers().items():  # type: ignore[attr-defined]
                        out[name] = value
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            actor, took_s = scope.get("actor"), time.perf_counter() - started
            # Methods and addresses that nobody declared would make lines without end.
            known = "route_handler" in scope
            self._requests.count(
                scope["method"] if known else "", scope.get("path_template", "") if known else "", status, took_s
            )
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round(took_s * 1000, 1),
                actor=f"{actor.kind}:{actor.id}" if actor else None,  # type: ignore[attr-defined]
                impersonator=str(actor.impersonator.id) if actor and actor.impersonator else None,  # type: ignore[attr-defined]
            )

    async def _trace_failure(
        self, scope: Scope, status: int, request_id: str, address: str | None, agent: str | None
    ) -> None:
        """A signed-in caller's change that failed leaves a row too, in a transaction of its own."""
        actor: Any = scope.get("actor")
        handler: Any = scope.get("route_handler")
        if status < 400 or actor is None or handler is None or scope.get("method") not in UNSAFE:
            return
        if isinstance(scope.get("problem"), RateLimited):
            return  # else whoever is to be slowed down could fill the audit log
        action = handler.opt.get("audit")
        if not action:
            return
        outcome = "failed" if status >= 500 else "denied" if status in (401, 403) else "invalid"
        attempt = Attempt(
            actor,
            action,
            outcome,  # type: ignore[arg-type]
            status,
            {"request_id": request_id, "ip": address, "user_agent": agent, "path": scope["path"]},
            tenant_id=_filed_under(scope, actor),
        )
        try:
            await self._audit(attempt)
        except Exception:
            log.error("audit.failed", action=action, exc_info=True)
