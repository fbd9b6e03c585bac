"""Reads that leave a row in the access log: declared beside the route, written before the answer leaves.

    @get("/{job_id:uuid}", permission=READ, access=Access("owner.read.queue_job", "job", of="job_id"))

Without its row no answer leaves: the row is in the request's transaction, which commits first. An answer that comes
from a cache has no transaction; whoever gives it calls `note_hit`.

A list on a page keeps itself current. That it is shown again is no other look: the row of whoever opened it, or turned
its page, stands for what it shows in the ten minutes after (`Looks`).

What changes a thing and answers with its page shows it as well: whatever draws a sensitive fragment says so to
`render`, and the row is there whichever route it is drawn for. What is declared beside a route comes first.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import UnionType
from typing import Any, Protocol, get_args, get_type_hints
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from litestar import Request, Response
from litestar.response import Template
from litestar.routes import BaseRoute, HTTPRoute
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, after_commit
from app.core.policy import Actor, actor_of
from app.core.wire import Sensitive

AnyRequest = Request[Any, Any, Any]
PURPOSE, LONGEST_PURPOSE = "x-purpose", 200
COVERED_S, MOST_LOOKS = 600, 10_000


@dataclass(frozen=True, slots=True)
class Access:
    """What a route shows.

    Args:
        of: the parameter of the path that holds the thing's id; or, where the answer is what says it, the name of
            the answer's attribute, or of what the template is given. Empty for a list, which is known by its query.
        fields: what of it is sensitive.
        exported: it leaves as a file.
    """

    action: str
    resource: str
    of: str = ""
    fields: tuple[str, ...] = ()
    exported: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """One read, for the access log. `rows` things were shown; `query` is the fingerprint of a list's filters."""

    access: Access
    actor: Actor
    resource_id: str | None = None
    query: str | None = None
    rows: int = 1
    cached: bool = False
    purpose: str | None = None
    path: str | None = None
    tenant_id: UUID | None = None


class Note(Protocol):
    """The port that the access log fills: write the row into this transaction."""

    async def __call__(self, session: AsyncSession, read: Read, *, quick: bool) -> None:
        """
        Args:
            quick: the transaction changes nothing else, so its commit need not wait for the disk.
        """


class Looks:
    """Which lists this process showed to whom, each with its row, a short while ago."""

    def __init__(self) -> None:
        self._at: dict[tuple[object, ...], float] = {}

    def covers(self, look: tuple[object, ...]) -> bool:
        at = self._at.get(look)
        return at is not None and time.monotonic() - at <= COVERED_S

    def add(self, look: tuple[object, ...]) -> None:
        self._at.pop(look, None)
        self._at[look] = time.monotonic()
        if len(self._at) > MOST_LOOKS:
            del self._at[next(iter(self._at))]


def tell(request: AnyRequest, *, rows: int | None = None, tenant_id: UUID | None = None) -> None:
    """What a page knows better than its answer shows: how many things it holds, and whose they are."""
    told = {"rows": rows, "tenant_id": tenant_id}
    _told(request).update({name: value for name, value in told.items() if value is not None})


def show(request: AnyRequest, access: Access) -> None:
    """This request is answered with something sensitive, though its route is there for something else."""
    scope: Any = request.scope
    scope["shown"] = access


def keep(request: AnyRequest, response: Response[Any]) -> None:
    """Look at an answer before it is rendered: afterwards it is bytes."""
    access = _access(request)
    if access is None:
        return
    shown: Any = response.context if isinstance(response, Template) else response.content
    items = _get(shown, "items") if isinstance(shown, Struct) else _get(_get(shown, "page"), "items")
    found = {"rows": len(items) if isinstance(items, Sequence) else 1, "tenant_id": _get(shown, "tenant_id")}
    thing = _get(shown, access.of) if access.of and access.of not in request.path_params else None
    if thing is not None:
        found["resource_id"] = str(getattr(thing, "id", thing))
    _told(request).update(found | _told(request))


async def note(request: AnyRequest, session: AsyncSession, status: int) -> bool:
    """Write the row of this request's read into its transaction, if it was one; a refusal showed nothing."""
    access = _access(request)
    actor = actor_of(request)
    if access is None or actor is None or status >= 400:
        return False
    look, looks = _look(request, access, actor), request.app.state.looks
    if look is not None and _by_itself(request) and looks.covers(look):
        return True
    write: Note = request.app.state.note_read
    read = _read(request, access, actor, **_told(request))
    await write(session, read, quick=request.method == "GET")
    if look is not None:
        after_commit(session, partial(_remember, looks, look))
    return True


async def note_hit(request: AnyRequest, *, rows: int = 1, tenant_id: UUID | None = None) -> None:
    """The same for an answer that came from a cache, in a transaction of its own. Call it before the answer leaves.

    Raises:
        Exception: the row could not be written; then the answer must not leave either.
    """
    access = _access(request)
    actor = actor_of(request)
    if access is None or actor is None:
        return
    write: Note = request.app.state.note_read
    database: Database = request.app.state.database
    async with database.transaction(actor.scope) as session:
        read = _read(request, access, actor, rows=rows, tenant_id=tenant_id, cached=True)
        await write(session, read, quick=True)


def _look(request: AnyRequest, access: Access, actor: Actor) -> tuple[object, ...] | None:
    """What tells one person's look at a page of a list from others; None for what is no list of the dashboard."""
    if access.of or access.exported or request.method != "GET" or actor.session is None:
        return None
    return actor.session, actor.id, request.scope["path"], request.scope["query_string"]


def _by_itself(request: AnyRequest) -> bool:
    """Whether a part of a page asked for itself, as those do that are live. Who forges that has the row of its look."""
    source = request.headers.get("hx-source")
    return source is not None and source == request.headers.get("hx-target")


async def _remember(looks: Looks, look: tuple[object, ...]) -> None:
    looks.add(look)


def _told(request: AnyRequest) -> dict[str, Any]:
    scope: Any = request.scope
    told: dict[str, Any] = scope.setdefault("read", {})
    return told


def _access(request: AnyRequest) -> Access | None:
    scope: Any = request.scope
    handler = scope.get("route_handler")
    declared: Access | None = handler.opt.get("access") if handler is not None else None
    return declared or scope.get("shown")


def _read(request: AnyRequest, access: Access, actor: Actor, **found: Any) -> Read:
    path: str = request.scope["path"]
    id_ = request.path_params.get(access.of)
    told = {"resource_id": str(id_)} if id_ is not None else {}
    if not access.of:
        told["query"] = _fingerprint(path, request.scope["query_string"])
    purpose = request.headers.get(PURPOSE, "")[:LONGEST_PURPOSE]
    tenant_id = found.pop("tenant_id", None) or request.path_params.get("tenant_id")
    return Read(access, actor, purpose=purpose or None, path=path, tenant_id=tenant_id, **(found | told))


def _fingerprint(path: str, query: bytes) -> str:
    """The same for the same question, whatever page of the answer: the filters themselves may name a person."""
    asked = sorted((k, v) for k, v in parse_qsl(query.decode("latin-1")) if k not in ("cursor", "limit") and v)
    return hashlib.sha256(f"{path}?{urlencode(asked)}".encode()).hexdigest()[:16]


def _get(shown: Any, name: str) -> Any:
    return shown.get(name) if isinstance(shown, Mapping) else getattr(shown, name, None)


def check_reads(routes: Sequence[BaseRoute]) -> None:
    """Refuse to boot with a route that answers with something sensitive and does not say so.

    Raises:
        RuntimeError: naming each.
    """
    bare = [
        f"{route.path} answers with {found}: declare access=Access(…)"
        for route in routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if "access" not in handler.opt
        if (found := ", ".join(sorted(sensitive_in(handler.parsed_return_field.annotation))))
    ]
    if bare:
        raise RuntimeError("Sensitive reads without a trace:\n" + "\n".join(bare))


def sensitive_in(annotation: Any, seen: frozenset[Any] = frozenset()) -> set[str]:
    """The names of the sensitive shapes that a type holds, at any depth."""
    parts = get_args(annotation)
    if parts or isinstance(annotation, UnionType):
        return set().union(*(sensitive_in(part, seen) for part in parts))
    if not (isinstance(annotation, type) and issubclass(annotation, Struct)) or annotation in seen:
        return set()
    found = {annotation.__name__} if issubclass(annotation, Sensitive) else set()
    hints = get_type_hints(annotation).values()
    return found.union(*(sensitive_in(hint, seen | {annotation}) for hint in hints))
