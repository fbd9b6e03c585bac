"""Who is asking, what they may do, and the guard that every route passes.

A route names its permission beside its path: `@get("/", permission=ARTICLES_READ)`. A route without
one stops the boot, and so does an unsafe route without the name its audit row will carry.
"""

import hmac
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from litestar.connection import ASGIConnection, Request
from litestar.enums import RequestEncodingType
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from app.core.database import SYSTEM, Plane, Scope
from app.core.errors import BadRequest, FieldError, Forbidden, Invalid, NotFound, Problem, Unauthenticated
from app.core.ids import PLATFORM_TENANT
from app.core.secrets import Signer

UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
AnyConnection = ASGIConnection[Any, Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Permission:
    """A right, `articles:write`. One whose name ends in `:read` changes nothing.

    `tenant` says that a tenant's tokens may hold it. `roles` says that a tenant's members may, and which of the
    built-in roles have it (see `app/core/roles.py`); `workspace` says that it may be given for one workspace alone.
    """

    name: str
    label: str
    tenant: bool = False
    roles: tuple[str, ...] | None = None
    workspace: bool = False


PUBLIC = Permission("public", "No sign-in needed")
SIGNED_IN = Permission("signed-in", "Any signed-in caller")


@dataclass(frozen=True, slots=True)
class Membership:
    """A tenant that a person is a member of, as addresses and pages name it."""

    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class Impersonator:
    """The person of the platform who sees a tenant as one of its members does, until `until`."""

    id: UUID
    label: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `tenant_id` is the platform's own tenant for the owner and for the system.

    A person of a tenant acts in `Plane.TENANT` under that tenant's address, and in `Plane.SYSTEM`, with no permission,
    where no tenant is named: signing out, taking an invitation up.
    """

    kind: Literal["user", "token", "cli", "system", "anonymous"]
    id: UUID | None
    label: str
    permissions: frozenset[str]
    plane: Plane
    tenant_id: UUID = PLATFORM_TENANT
    workspace_id: UUID | None = None
    session: str | None = None
    """What the CSRF token is bound to; only browsers have one."""
    role: str = ""
    """What people call the rights that a person has here."""
    workspaces: tuple[tuple[UUID, frozenset[str]], ...] = ()
    """Permissions that a member has in single workspaces only."""
    tenant: Membership | None = None
    """The tenant under whose address a member acts."""
    memberships: tuple[Membership, ...] = ()
    """Where else this person is a member, by name; the first 50."""
    impersonator: Impersonator | None = None
    plan: str = "standard"
    """How much it may ask of the API: a key of `limits.PLANS`."""
    calls_per_day: int | None = None
    """How often all programs of its tenant together may call the API in a day; None is no limit."""
    confirmed_at: datetime | None = None
    """When the person in front of the browser last proved who it is."""

    @property
    def scope(self) -> Scope:
        return Scope(self.plane, self.tenant_id)

    @property
    def fresh(self) -> bool:
        """Whether a person confirmed this short ago, or there is none who could: a program, the command line."""
        since = self.confirmed_at
        return self.session is None or (since is not None and datetime.now(UTC) - since <= CONFIRMED_FOR)

    def may(self, permission: Permission) -> bool:
        return permission in (PUBLIC, SIGNED_IN) or self.holds(permission.name)

    def holds(self, name: str) -> bool:
        """Whether this permission is among the actor's, be it in one workspace only."""
        return name in self.permissions or any(name in names for _, names in self.workspaces)

    def reach(self, permission: Permission) -> frozenset[UUID] | None:
        """The workspaces whose things the actor may treat so; None for all that its transaction sees."""
        if self.workspace_id is not None:
            return frozenset({self.workspace_id})
        if permission.name in self.permissions or not self.workspaces:
            return None
        return frozenset(workspace for workspace, names in self.workspaces if permission.name in names)

    def for_whole_tenant(self, things: str) -> None:
        """Let through to `things` that belong to no workspace.

        Raises:
            Forbidden (`workspace_token`): the actor is tied to one.
        """
        if self.workspace_id is not None:
            told = f"{things} are the whole tenant's: use a token that is tied to no workspace"
            raise Forbidden(told, code="workspace_token")


SYSTEM_ACTOR = Actor("system", None, "system", frozenset(), Plane.SYSTEM)


FindSession = Callable[[str, str | None], Awaitable[Actor | None]]
"""The port that sessions fills: who sent this cookie, under the address of the tenant with this slug?"""

FindBearer = Callable[[str, str | None], Awaitable[Actor]]
"""The port that bearers fills: who sent this bearer token, from this address? It raises for one that it refuses."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An unsafe request that did not succeed, for the audit log."""

    actor: Actor
    action: str
    outcome: Literal["invalid", "denied", "failed"]
    status: int
    request: dict[str, str | None]
    tenant_id: UUID
    """Under which tenant it is filed."""


Audit = Callable[[Attempt], Awaitable[None]]
"""The port that audit fills: write a row in a transaction of its own."""

Admit = Callable[[AnyConnection, Actor], Awaitable[None]]
"""Counts a known caller's call, before anything is done for it; raises where it has made too many."""

COOKIE = "teknav_session"
CONFIRMED_FOR = timedelta(minutes=10)


MOST_PARTS, LONGEST_QUERY, LONGEST_COOKIES = 200, 8_192, 16_384


class TooLong(Problem):
    """The framework keeps what it read of the last thousand queries and cookies, whoever sent them."""

    status, code, title = 431, "too_long", "The address or the cookies are too long"


class StepUpRequired(Forbidden):
    """A dangerous change wants a fresh confirmation that it is still the person."""

    code, title = "step_up_required", "Confirm that it is you, then try again"

    def __init__(self) -> None:
        super().__init__(
            "Send a proof to POST /api/account/confirmation, then try again: a code of your authenticator app or a"
            " recovery code, or without a second factor the password"
        )


class Policy:
    """The guard, with what it needs to know who is asking.

    Args:
        dangerous: the changes, by their names in the audit log, that want a fresh confirmation by whichever route.
    """

    def __init__(
        self,
        sessions: FindSession,
        bearers: FindBearer,
        signer: Signer,
        admit: Admit | None = None,
        dangerous: Collection[str] = (),
    ) -> None:
        self._sessions = sessions
        self._bearers = bearers
        self._signer = signer
        self._admit = admit
        self._dangerous = dangerous

    def csrf_token(self, actor: Actor | None) -> str:
        return self._signer.sign("csrf", actor.session) if actor and actor.session else ""

    async def guard(self, connection: AnyConnection, handler: BaseRouteHandler) -> None:
        """Find the actor, then ask whether it may. The actor stays in `connection.scope["actor"]`."""
        if connection.scope.get("method") == "OPTIONS":
            return  # Litestar's own answer: which methods there are
        _check_length(connection)
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
        _check_plane(connection, handler.opt.get("plane"), actor)
        if not actor.may(permission):
            raise Forbidden(f"This needs the permission {permission.name}", code="permission_missing")
        if actor.impersonator is not None and not handler.opt.get("while_impersonating"):
            if unsafe:
                raise Forbidden("You see this as one of its members does: nothing can be changed", code="read_only")
            if actor.plane is not Plane.TENANT:
                raise Forbidden("What is a member's own is not shown: end the impersonation first", code="read_only")
        if unsafe and actor.session is not None:
            await self._check_csrf(connection, actor)
        if unsafe and handler.opt.get("audit") in self._dangerous and not actor.fresh:
            raise StepUpRequired
        _check_query(connection, handler)

    async def actor(self, connection: AnyConnection) -> Actor | None:
        """Who is asking, as of now."""
        cookie = connection.cookies.get(COOKIE)
        header = connection.headers.get("authorization")
        if header is None:
            return await self._sessions(cookie, connection.path_params.get("slug")) if cookie else None
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


def _check_length(connection: AnyConnection) -> None:
    """
    Raises:
        TooLong.
    """
    query: bytes = connection.scope.get("query_string", b"")
    cookies = b";".join(value for name, value in connection.scope["headers"] if name == b"cookie")
    if len(query) > LONGEST_QUERY or query.count(b"&") > MOST_PARTS:
        raise TooLong("What stands behind the question mark is too long")
    if len(cookies) > LONGEST_COOKIES or cookies.count(b";") > MOST_PARTS:
        raise TooLong("There are too many cookies, or they are too long")


def _check_plane(connection: AnyConnection, plane: Plane | None, actor: Actor) -> None:
    """
    Raises:
        Forbidden: the route is the platform's, or tenants', and the actor is not.
        NotFound: there is no tenant with this address, or the person is none of its members: both are answered alike.
    """
    if "slug" in connection.path_params:
        if actor.kind == "token":
            raise Forbidden("These pages are for people: programs have /api/v1")
        if actor.plane is not Plane.TENANT:
            raise NotFound
    if plane is not None and actor.plane is not plane:
        raise Forbidden(f"This address needs {'the owner' if plane is Plane.PLATFORM else 'a tenant'}'s rights")


def _check_query(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """A misspelt filter must not look like one that finds everything."""
    known: frozenset[str] | None = handler.opt.get("query")
    unknown = sorted({*connection.query_params} - known) if known is not None else []
    if unknown:
        errors = [FieldError(name, "is not known here") for name in unknown]
        raise Invalid("; ".join(f"{error.field}: {error.message}" for error in errors), errors=errors)


def name_queries(routes: list[Any], under: str) -> None:
    """Note beside each handler of the API which query parameters it and its dependencies read.

    A handler that reads others by itself names them: `reads=("title",)`. The pager reads `sort` for lists with `sorts`.
    """
    for route in routes:
        if isinstance(route, HTTPRoute) and route.path.startswith(under):
            for handler, reads in route.route_handler_map.values():
                read = {parameter.field_alias for parameter in reads.expected_query_params}
                read |= {"sort"} if "sorts" in handler.opt else set()
                handler.opt["query"] = frozenset(read).union(handler.opt.get("reads", ()))


def actor_of(connection: AnyConnection) -> Actor | None:
    return connection.scope.get("actor")  # type: ignore[return-value]


def holder_of(request: Request[Any, Any, Any]) -> UUID:
    """Whose things an address is about: the tenant's that it names, else the actor's own."""
    named: UUID | None = request.path_params.get("tenant_id")
    actor = actor_of(request)
    return named or (actor.tenant_id if actor else PLATFORM_TENANT)


def scope_for(connection: AnyConnection) -> Scope:
    """Role and tenant for this request: the actor's, or the system's on a public route.

    On a route with `in_tenant=True` the platform acts with the rights of the tenant that the address names: what it
    writes, asks of queues and announces there is that tenant's, and no other tenant's rows are in reach.
    """
    actor = actor_of(connection)
    if actor is None or connection.route_handler.opt["permission"] == PUBLIC:
        return SYSTEM
    if actor.plane is Plane.PLATFORM and connection.route_handler.opt.get("in_tenant"):
        return Scope(Plane.TENANT, connection.path_params["tenant_id"])
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
