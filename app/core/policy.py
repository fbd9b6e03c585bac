"""Who is asking, what they may do, and the guard that every route passes.

A route names its permission beside its path: `@get("/", permission=ARTICLES_READ)`. A route without
one stops the boot, and so does an unsafe route without the name its audit row will carry.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from litestar.connection import ASGIConnection, Request
from litestar.enums import RequestEncodingType
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from app.core.database import SYSTEM, Plane, Scope
from app.core.errors import BadRequest, FieldError, Forbidden, Invalid, Unauthenticated
from app.core.ids import PLATFORM_TENANT
from app.core.secrets import Signer

UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
AnyConnection = ASGIConnection[Any, Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Permission:
    """A right, `articles:write`. `tenant` says that a tenant's tokens may hold it."""

    name: str
    label: str
    tenant: bool = False


PUBLIC = Permission("public", "No sign-in needed")
SIGNED_IN = Permission("signed-in", "Any signed-in caller")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `tenant_id` is the platform's own tenant for the owner and for the system."""

    kind: Literal["user", "token", "cli", "system", "anonymous"]
    id: UUID | None
    label: str
    permissions: frozenset[str]
    plane: Plane
    tenant_id: UUID = PLATFORM_TENANT
    workspace_id: UUID | None = None
    session: str | None = None
    """What the CSRF token is bound to; only browsers have one."""
    plan: str = "standard"
    """How much it may ask of the API: a key of `limits.PLANS`."""
    calls_per_day: int | None = None
    """How often all programs of its tenant together may call the API in a day; None is no limit."""

    @property
    def scope(self) -> Scope:
        return Scope(self.plane, self.tenant_id)

    def may(self, permission: Permission) -> bool:
        return permission in (PUBLIC, SIGNED_IN) or permission.name in self.permissions


SYSTEM_ACTOR = Actor("system", None, "system", frozenset(), Plane.SYSTEM)


FindSession = Callable[[str], Awaitable[Actor | None]]
"""The port that identity fills: who sent this cookie?"""

FindBearer = Callable[[str, str | None], Awaitable[Actor]]
"""The port that tokens fills: who sent this bearer token, from this address? It raises for one that it refuses."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An unsafe request that did not succeed, for the audit log."""

    actor: Actor
    action: str
    outcome: Literal["invalid", "denied", "failed"]
    status: int
    request: dict[str, str | None]


Audit = Callable[[Attempt], Awaitable[None]]
"""The port that audit fills: write a row in a transaction of its own."""

Admit = Callable[[AnyConnection, Actor], Awaitable[None]]
"""Counts a known caller's call, before anything is done for it; raises where it has made too many."""

COOKIE = "teknav_session"


class Policy:
    """The guard, with what it needs to know who is asking."""

    def __init__(self, sessions: FindSession, bearers: FindBearer, signer: Signer, admit: Admit | None = None) -> None:
        self._sessions = sessions
        self._bearers = bearers
        self._signer = signer
        self._admit = admit

    def csrf_token(self, actor: Actor | None) -> str:
        return self._signer.sign("csrf", actor.session) if actor and actor.session else ""

    async def guard(self, connection: AnyConnection, handler: BaseRouteHandler) -> None:
        """Find the actor, then ask whether it may. The actor stays in `connection.scope["actor"]`."""
        if connection.scope.get("method") == "OPTIONS":
            return  # Litestar's own answer: which methods there are
        if handler.opt.get("own_credentials"):
            return  # a public route that looks at what stands in Authorization by itself
        actor = await self.actor(connection)
        connection.scope["actor"] = actor  # type: ignore[typeddict-unknown-key]
        if actor is not None and self._admit is not None:
            await self._admit(connection, actor)
        permission: Permission = handler.opt["permission"]
        unsafe = connection.scope.get("method") in UNSAFE
        if permission == PUBLIC:  # not `is`: Litestar copies what stands beside a route
            return
        if actor is None:
            raise Unauthenticated
        plane: Plane | None = handler.opt.get("plane")
        if plane is not None and actor.plane is not plane:
            raise Forbidden(f"This address needs {'the owner' if plane is Plane.PLATFORM else 'a tenant'}'s rights")
        if not actor.may(permission):
            raise Forbidden(f"This needs the permission {permission.name}", code="permission_missing")
        if unsafe and actor.session is not None:
            await self._check_csrf(connection, actor)
        _check_query(connection, handler)

    async def actor(self, connection: AnyConnection) -> Actor | None:
        """Who is asking, as of now."""
        cookie = connection.cookies.get(COOKIE)
        header = connection.headers.get("authorization")
        if header is None:
            return await self._sessions(cookie) if cookie else None
        if cookie:
            raise BadRequest("Send a session cookie or a bearer token, not both", code="two_credentials")
        address: str | None = connection.scope.get("client_address")  # type: ignore[assignment]
        scheme, _, bearer = header.partition(" ")
        if scheme.lower() != "bearer" or not bearer:
            raise Unauthenticated("Authorization wants the form: Bearer TOKEN", code="bad_authorization")
        return await self._bearers(bearer.strip(), address)

    async def _check_csrf(self, connection: AnyConnection, actor: Actor) -> None:
        sent = connection.headers.get("x-csrf-token")
        if sent is None and isinstance(connection, Request):
            kind, _ = connection.content_type
            if kind in (RequestEncodingType.URL_ENCODED, RequestEncodingType.MULTI_PART):
                sent = str((await connection.form()).get("_csrf_token") or "")
        expected = self.csrf_token(actor)
        if not sent or not hmac.compare_digest(sent.encode(), expected.encode()):
            raise Forbidden("The form is out of date: reload the page and try again", code="bad_csrf_token")


def _check_query(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """A misspelt filter must not look like one that finds everything."""
    known: frozenset[str] | None = handler.opt.get("query")
    unknown = sorted({*connection.query_params} - known) if known is not None else []
    if unknown:
        errors = [FieldError(name, "is not known here") for name in unknown]
        raise Invalid("; ".join(f"{error.field}: {error.message}" for error in errors), errors=errors)


def name_queries(routes: list[Any], under: str) -> None:
    """Note beside each handler of the API which query parameters it and its dependencies read.

    A handler that reads others by itself names them: `reads=("title",)`.
    """
    for route in routes:
        if isinstance(route, HTTPRoute) and route.path.startswith(under):
            for handler, reads in route.route_handler_map.values():
                read = {parameter.field_alias for parameter in reads.expected_query_params}
                handler.opt["query"] = frozenset(read).union(handler.opt.get("reads", ()))


def actor_of(connection: AnyConnection) -> Actor | None:
    return connection.scope.get("actor")  # type: ignore[return-value]


def scope_for(connection: AnyConnection) -> Scope:
    """Role and tenant for this request: the actor's, or the system's on a public route."""
    actor = actor_of(connection)
    if actor is None or connection.route_handler.opt["permission"] == PUBLIC:
        return SYSTEM
    return actor.scope


def check_routes(routes: list[Any]) -> None:
    """Refuse to boot with a route that nobody guards.

    Raises:
        RuntimeError: naming each route without a permission, or unsafe and without an audit action.
    """
    bare: list[str] = []
    for route in routes:
        http = isinstance(route, HTTPRoute)
        for handler in route.route_handlers if http else [route.route_handler]:
            # Sockets and mounted programs have no methods, and are doors all the same.
            methods = handler.http_methods - {"OPTIONS"} if http else {type(handler).__name__}
            if methods and "permission" not in handler.opt:
                bare.append(f"{' '.join(sorted(methods))} {route.path}: no permission")
            elif methods & UNSAFE and "audit" not in handler.opt:
                bare.append(f"{' '.join(sorted(methods))} {route.path}: no audit action")
    if bare:
        raise RuntimeError("Routes without a guard:\n" + "\n".join(bare))
