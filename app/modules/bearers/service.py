"""Who shows a bearer token: an opaque one, or a JWT that a client got for its id and secret."""

import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, Plane
from app.core.direct import Lookups
from app.core.errors import BadRequest, Forbidden, Problem, Unauthenticated
from app.core.ids import PLATFORM_TENANT
from app.core.jwt import BadJwt, Claims, Jwts
from app.core.policy import Actor, Permission
from app.core.secrets import digest
from app.core.settings import Settings
from app.modules.audit.service import record
from app.modules.bearers import repository
from app.modules.bearers.repository import Found
from app.modules.bearers.schemas import AccessToken, Grant
from app.modules.tokens.service import ApiClient

AUDIENCE = "teknav-api"


def jwts_of(settings: Settings) -> Jwts:
    """What signs and verifies API clients' JWTs."""
    return Jwts(settings.jwt_secrets, AUDIENCE, settings.jwt_lasts)


class Bearers:
    """Finds who sent a bearer token, opaque or a JWT, without a role; those who come together in one statement.

    The functions that it calls belong to `teknav_system`, look at everything that could have ended it, and note that
    it was used. Nothing is remembered: what was revoked is refused with the next request, in every process.
    """

    def __init__(self, database: Database, permissions: Mapping[str, Permission], jwts: Jwts) -> None:
        engine = database.engine(Plane.TENANT)
        self._tokens, self._clients = Lookups(engine, repository.BY_TOKENS), Lookups(engine, repository.BY_CLIENTS)
        self._every = frozenset(permissions)
        self._tenants = frozenset(name for name, permission in permissions.items() if permission.tenant)
        self._jwts = jwts

    async def actor(self, bearer: str, address: str | None) -> Actor:
        """
        Args:
            address: where the request comes from.

        Raises:
            Unauthenticated (`bad_token`): it is unknown, expired, revoked or replaced.
            Forbidden (`tenant_suspended`, `address_refused`).
        """
        claims = self._claims(bearer) if "." in bearer else None  # an opaque token has no dot
        if claims is None:
            row = await self._tokens.find(digest(bearer), plain(address))
        else:
            row = await self._clients.find(UUID(claims.sub), claims.epoch, plain(address))
        found = admitted(Found(*row) if row else None, address)
        platform = found.tenant_id == PLATFORM_TENANT
        granted = frozenset(found.scopes) & (self._every if platform else self._tenants)
        if claims is not None and claims.scope is not None:
            granted &= frozenset(claims.scope.split())
        plane = Plane.PLATFORM if platform else Plane.TENANT
        return Actor(
            "token",
            found.id,
            found.name,
            granted,
            plane,
            found.tenant_id,
            found.workspace_id,
            plan=found.plan,
            calls_per_day=found.calls_per_day,
        )

    def _claims(self, bearer: str) -> Claims:
        try:
            return self._jwts.verify(bearer)
        except BadJwt as error:
            raise Unauthenticated(f"This token {error}", code="bad_token") from None


def plain(address: str | None) -> str | None:
    """An address as PostgreSQL reads it; None for what is none, such as a socket in the file system."""
    try:
        return str(ip_address(address or ""))
    except ValueError:
        return None


def admitted(row: Found | None, address: str | None) -> Found:
    """
    Raises:
        Unauthenticated (`bad_token`), Forbidden (`tenant_suspended`, `address_refused`).
    """
    if row is not None and row.refusal is None:
        return row
    raise _refusal(row.refusal if row is not None else None, address)


def _refusal(why: str | None, address: str | None) -> Problem:
    if why == "suspended":
        return Forbidden("This tenant is suspended", code="tenant_suspended")
    if why == "address":
        return Forbidden(f"This token may not be used from {address}", code="address_refused")
    said = {"revoked": "was revoked", "expired": "has expired", "replaced": "was replaced"}.get(why or "", "is unknown")
    return Unauthenticated(f"This token {said}", code="bad_token")


class Exchange:
    """A client's id and secret for a JWT, as OAuth's client credentials grant has it."""

    def __init__(self, session: AsyncSession, jwts: Jwts) -> None:
        self._session = session
        self._jwts = jwts

    async def grant(self, asked: Grant, address: str | None) -> AccessToken:
        """
        Raises:
            BadRequest (`unsupported_grant_type`, `invalid_scope`). Unauthenticated (`invalid_client`): without saying
            whether id or secret is wrong; `bad_token` where both are right. Forbidden: as for the JWT itself.
        """
        if asked.grant_type != "client_credentials":
            raise BadRequest("grant_type: must be client_credentials", code="unsupported_grant_type")
        client = await self._client(asked)
        said = {"client": client.id, "epoch": client.epoch, "address": plain(address)}
        row = (await self._session.execute(repository.BY_CLIENT, said)).one_or_none()
        found = admitted(Found(*row) if row else None, address)
        wanted = asked.scope.split()
        if not {*wanted} <= {*found.scopes}:
            raise BadRequest(f"scope: this client has {' '.join(found.scopes)}", code="invalid_scope")
        scope = " ".join(sorted({*wanted}) or found.scopes)
        jwt = self._jwts.sign(Claims(str(client.id), client.epoch, scope if wanted else None))
        actor = Actor("token", client.id, client.name, frozenset(), Plane.SYSTEM, client.tenant_id)
        resource = ("client", client.id, client.name)
        after = {"scope": scope, "epoch": client.epoch}
        await record(
            self._session, actor, "client.jwt.issue", resource=resource, after=after, tenant_id=client.tenant_id
        )
        return AccessToken(jwt, round(self._jwts.lasts.total_seconds()), scope)

    async def _client(self, asked: Grant) -> ApiClient:
        wrong = Unauthenticated("client_id or client_secret is wrong", code="invalid_client")
        try:
            client = await self._session.get(ApiClient, UUID(asked.client_id))
        except ValueError:
            raise wrong from None
        if client is None or not any(hmac.compare_digest(digest(asked.client_secret), each) for each in _good(client)):
            raise wrong
        return client


def _good(client: ApiClient) -> list[bytes]:
    before = client.previous_hash if client.overlap_until is not None else None
    return [each for each in (client.token_hash, before) if each is not None]
