"""`/api/v1/oauth/token`."""

from base64 import b64decode
from typing import Any
from urllib.parse import unquote_plus

from litestar import Controller, Request, Response, post
from litestar.di import NamedDependency
from litestar.params import URLEncodedBody
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import PUBLIC
from app.core.settings import Settings
from app.core.wire import SHORT_BODY
from app.modules.bearers.schemas import AccessToken, Grant
from app.modules.bearers.service import Exchange, jwts_of


class OAuthController(Controller):
    path = "/oauth"
    request_max_body_size = SHORT_BODY

    @post("/token", permission=PUBLIC, audit="client.jwt.issue", own_credentials=True, status_code=200)
    async def token(
        self,
        request: Request[Any, Any, Any],
        session: NamedDependency[AsyncSession],
        settings: NamedDependency[Settings],
        data: URLEncodedBody[Grant],
    ) -> Response[AccessToken]:
        """Exchange an API client's id and secret for a JWT. They stand in the form, or in HTTP Basic (RFC 6749)."""
        address: str | None = request.scope.get("client_address")  # type: ignore[assignment]
        asked = _with_basic(data, request.headers.get("authorization", ""))
        granted = await Exchange(session, jwts_of(settings)).grant(asked, address)
        return Response(granted, headers={"Cache-Control": "no-store"})


def _with_basic(asked: Grant, header: str) -> Grant:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return asked
    try:
        client, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return asked
    return replace(asked, client_id=unquote_plus(client), client_secret=unquote_plus(secret))
