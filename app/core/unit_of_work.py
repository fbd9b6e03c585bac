"""The one generator dependency: `session`. It commits after rendering and before the answer leaves."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.response.base import ASGIResponse
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import access
from app.core.database import Database, Plane, Scope
from app.core.errors import NotFound
from app.core.idempotency import HEADER, Once, Replayed
from app.core.ids import PLATFORM_TENANT
from app.core.policy import actor_of, scope_for
from app.core.settings import Settings

AnyRequest = Request[Any, Any, Any]


class _Kept:
    """A response that leaves what it rendered where the unit of work can store it."""

    def __init__(self, response: Response[Any]) -> None:
        self._response = response

    def to_asgi_response(self, *, request: AnyRequest, **options: Any) -> ASGIResponse:
        access.keep(request, self._response)
        rendered = self._response.to_asgi_response(request=request, **options)
        request.scope["rendered"] = rendered  # type: ignore[typeddict-unknown-key]
        return rendered


async def keep_rendered(response: Response[Any]) -> Response[Any]:
    """Litestar's `after_request`: called with every response before it is rendered."""
    return _Kept(response) if isinstance(response, Response) else response  # type: ignore[return-value]


async def provide_session(
    request: AnyRequest, settings: NamedDependency[Settings]
) -> AsyncGenerator[AsyncSession, None]:
    """A session in this request's transaction, with the actor's role and tenant.

    It waits for `settings`, of which it needs nothing, because Litestar begins what waits for nothing all at once:
    one of these that refuses its input would leave a session behind that nobody closes.

    A failed commit raises here, before anything was sent, and so becomes an error answer.
    """
    database: Database = request.app.state.database
    actor = actor_of(request)
    once = None
    if request.method == "POST" and HEADER in request.headers and actor is not None:
        once = Once(request, actor, await request.body())
    scope = scope_for(request)
    if actor is not None and actor.plane is Plane.PLATFORM and scope.plane is Plane.TENANT:
        await _require_tenant(database, actor.scope, scope.tenant_id)
    async with database.transaction(scope) as session:
        session.info["actor"] = actor  # for whoever hears of a fact
        if once is not None:
            await once.begin(session)
        yield session
        rendered: ASGIResponse | None = request.scope.get("rendered")  # type: ignore[assignment]
        sensitive = rendered is not None and await access.note(request, session, rendered.status_code)
        if once is not None and rendered is not None:
            headers = {name.decode().lower(): value.decode() for name, value in rendered.encode_headers()}
            # Given again from here it would have no row.
            once.finish(session, rendered.status_code, headers, None if sensitive else rendered.body)


async def _require_tenant(database: Database, platform: Scope, tenant_id: UUID) -> None:
    """
    Raises:
        NotFound: there is no such tenant; the platform's own is none.
    """
    async with database.transaction(platform) as session:
        query = text("SELECT true FROM tenant WHERE id = :id AND id <> :own")
        if not await session.scalar(query, {"id": tenant_id, "own": PLATFORM_TENANT}):
            raise NotFound("There is no tenant with this id")


def replay(_: AnyRequest, error: Replayed) -> Response[bytes | None]:
    """The answer that was given the first time."""
    row = error.row
    kept = {"Location": row.location, "ETag": row.etag}
    headers = {"Idempotency-Replayed": "true"} | {name: value for name, value in kept.items() if value}
    return Response(row.answer, status_code=row.status, headers=headers, media_type=row.media_type)
