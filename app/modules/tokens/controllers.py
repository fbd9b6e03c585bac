"""`/api/owner/tenants/{id}/tokens` and `/clients`, and `/api/owner/tokens`."""

from datetime import timedelta
from typing import Annotated, TypeVar
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec.structs import asdict

from app.core.etag import IfMatch, etag, versions
from app.core.ids import PLATFORM_TENANT
from app.core.paging import Pager
from app.modules.tokens.permissions import READ, WRITE
from app.modules.tokens.schemas import (
    CLIENT_MADE_SEEN,
    CLIENT_SEEN,
    MADE_SEEN,
    TOKEN_SEEN,
    ClientMade,
    ClientPage,
    ClientRead,
    CredentialChange,
    CredentialCreate,
    PlatformTokenCreate,
    Revocations,
    Revoked,
    Rotation,
    State,
    TokenMade,
    TokenPage,
    TokenRead,
    made,
    made_client,
    read,
    read_client,
)
from app.modules.tokens.service import CLIENT_SORTS, TOKEN_SORTS, ClientService, TokenService

Shown = TypeVar("Shown", bound=TokenRead)


class TenantTokenController(Controller):
    path = "/tenants/{tenant_id:uuid}/tokens"

    @get("/", permission=READ, sorts=TOKEN_SORTS)
    async def search(
        self,
        tokens: NamedDependency[TokenService],
        pager: NamedDependency[Pager],
        tenant_id: FromPath[UUID],
        q: FromQuery[str | None] = None,
        status: Annotated[State | None, QueryParameter(name="state")] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> TokenPage:
        """List a tenant's tokens without their secrets. `q` is looked for in the name and at the secret's beginning."""
        page = await tokens.search(pager, tenant_id, words=q, state=status, limit=limit, cursor=cursor)
        return TokenPage(items=page.map(read).items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @post("/", permission=WRITE, audit="owner.token.create", secret_answer=True, access=MADE_SEEN)
    async def create(
        self, tokens: NamedDependency[TokenService], tenant_id: FromPath[UUID], data: JSONBody[CredentialCreate]
    ) -> Response[TokenMade]:
        """Make a token for a tenant's program. The secret is in this answer only."""
        token, secret = await tokens.create(tenant_id, **asdict(data))
        return _made(made(token, secret), f"/api/owner/tenants/{tenant_id}/tokens")

    @get("/{token_id:uuid}", permission=READ, access=TOKEN_SEEN)
    async def show(
        self, tokens: NamedDependency[TokenService], tenant_id: FromPath[UUID], token_id: FromPath[UUID]
    ) -> Response[TokenRead]:
        """Read one of a tenant's tokens, without its secret."""
        return _answer(read(await tokens.get(tenant_id, token_id)))

    @patch("/{token_id:uuid}", permission=WRITE, audit="owner.token.update")
    async def update(
        self,
        tokens: NamedDependency[TokenService],
        tenant_id: FromPath[UUID],
        token_id: FromPath[UUID],
        data: JSONBody[CredentialChange],
        if_match: IfMatch = None,
    ) -> Response[TokenRead]:
        """Change what one of a tenant's tokens may do, from where, how often and until when."""
        return _answer(read(await tokens.update(tenant_id, token_id, data, expected=versions(if_match))))

    @post(
        "/{token_id:uuid}/rotation", permission=WRITE, audit="owner.token.rotate", secret_answer=True, access=MADE_SEEN
    )
    async def rotate(
        self,
        tokens: NamedDependency[TokenService],
        tenant_id: FromPath[UUID],
        token_id: FromPath[UUID],
        data: JSONBody[Rotation],
    ) -> Response[TokenMade]:
        """Give one of a tenant's tokens a new secret. The one before stays good for the hours that are named."""
        token, secret = await tokens.rotate(tenant_id, token_id, overlap=timedelta(hours=data.overlap_hours))
        return _made(made(token, secret), f"/api/owner/tenants/{tenant_id}/tokens")

    @delete("/{token_id:uuid}", permission=WRITE, audit="owner.token.revoke")
    async def revoke(
        self, tokens: NamedDependency[TokenService], tenant_id: FromPath[UUID], token_id: FromPath[UUID]
    ) -> None:
        """Revoke one of a tenant's tokens. It is refused from now on."""
        await tokens.revoke(tenant_id, token_id)

    @post("/revocations", permission=WRITE, audit="owner.token.revoke", status_code=200)
    async def revoke_many(
        self, tokens: NamedDependency[TokenService], tenant_id: FromPath[UUID], data: JSONBody[Revocations]
    ) -> Revoked:
        """Revoke several of a tenant's tokens at once."""
        return Revoked(revoked=await tokens.revoke_many(tenant_id, data.ids))


class PlatformTokenController(Controller):
    path = "/tokens"

    @get("/", permission=READ, sorts=TOKEN_SORTS)
    async def search(
        self,
        tokens: NamedDependency[TokenService],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        status: Annotated[State | None, QueryParameter(name="state")] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> TokenPage:
        """List the platform's own tokens, without their secrets."""
        page = await tokens.search(pager, PLATFORM_TENANT, words=q, state=status, limit=limit, cursor=cursor)
        return TokenPage(items=page.map(read).items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @post("/", permission=WRITE, audit="owner.token.create", secret_answer=True, access=MADE_SEEN)
    async def create(
        self, tokens: NamedDependency[TokenService], data: JSONBody[PlatformTokenCreate]
    ) -> Response[TokenMade]:
        """Make a token for `/api/owner`. The secret is in this answer only."""
        token, secret = await tokens.create(PLATFORM_TENANT, **asdict(data))
        return _made(made(token, secret), "/api/owner/tokens")

    @get("/{token_id:uuid}", permission=READ, access=TOKEN_SEEN)
    async def show(self, tokens: NamedDependency[TokenService], token_id: FromPath[UUID]) -> Response[TokenRead]:
        """Read one of the platform's tokens, without its secret."""
        return _answer(read(await tokens.get(PLATFORM_TENANT, token_id)))

    @patch("/{token_id:uuid}", permission=WRITE, audit="owner.token.update")
    async def update(
        self,
        tokens: NamedDependency[TokenService],
        token_id: FromPath[UUID],
        data: JSONBody[CredentialChange],
        if_match: IfMatch = None,
    ) -> Response[TokenRead]:
        """Change what one of the platform's tokens may do, from where and until when."""
        return _answer(read(await tokens.update(PLATFORM_TENANT, token_id, data, expected=versions(if_match))))

    @post(
        "/{token_id:uuid}/rotation", permission=WRITE, audit="owner.token.rotate", secret_answer=True, access=MADE_SEEN
    )
    async def rotate(
        self, tokens: NamedDependency[TokenService], token_id: FromPath[UUID], data: JSONBody[Rotation]
    ) -> Response[TokenMade]:
        """Give one of the platform's tokens a new secret. The one before stays good for the hours that are named."""
        token, secret = await tokens.rotate(PLATFORM_TENANT, token_id, overlap=timedelta(hours=data.overlap_hours))
        return _made(made(token, secret), "/api/owner/tokens")

    @delete("/{token_id:uuid}", permission=WRITE, audit="owner.token.revoke")
    async def revoke(self, tokens: NamedDependency[TokenService], token_id: FromPath[UUID]) -> None:
        """Revoke one of the platform's tokens. It is refused from now on."""
        await tokens.revoke(PLATFORM_TENANT, token_id)

    @post("/revocations", permission=WRITE, audit="owner.token.revoke", status_code=200)
    async def revoke_many(self, tokens: NamedDependency[TokenService], data: JSONBody[Revocations]) -> Revoked:
        """Revoke several of the platform's tokens at once."""
        return Revoked(revoked=await tokens.revoke_many(PLATFORM_TENANT, data.ids))


class ClientController(Controller):
    path = "/tenants/{tenant_id:uuid}/clients"

    @get("/", permission=READ, sorts=CLIENT_SORTS)
    async def search(
        self,
        clients: NamedDependency[ClientService],
        pager: NamedDependency[Pager],
        tenant_id: FromPath[UUID],
        q: FromQuery[str | None] = None,
        status: Annotated[State | None, QueryParameter(name="state")] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> ClientPage:
        """List a tenant's API clients without their secrets. `q` is looked for in the name."""
        page = await clients.search(pager, tenant_id, words=q, state=status, limit=limit, cursor=cursor)
        return ClientPage(items=page.map(read_client).items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @post("/", permission=WRITE, audit="owner.client.create", secret_answer=True, access=CLIENT_MADE_SEEN)
    async def create(
        self, clients: NamedDependency[ClientService], tenant_id: FromPath[UUID], data: JSONBody[CredentialCreate]
    ) -> Response[ClientMade]:
        """Make an API client for a tenant. Its id and secret buy JWTs; the secret is in this answer only."""
        client, secret = await clients.create(tenant_id, **asdict(data))
        return _made(made_client(client, secret), f"/api/owner/tenants/{tenant_id}/clients")

    @get("/{client_id:uuid}", permission=READ, access=CLIENT_SEEN)
    async def show(
        self, clients: NamedDependency[ClientService], tenant_id: FromPath[UUID], client_id: FromPath[UUID]
    ) -> Response[ClientRead]:
        """Read one of a tenant's API clients, without its secret."""
        return _answer(read_client(await clients.get(tenant_id, client_id)))

    @patch("/{client_id:uuid}", permission=WRITE, audit="owner.client.update")
    async def update(
        self,
        clients: NamedDependency[ClientService],
        tenant_id: FromPath[UUID],
        client_id: FromPath[UUID],
        data: JSONBody[CredentialChange],
        if_match: IfMatch = None,
    ) -> Response[ClientRead]:
        """Change what an API client may do, from where, how often and until when. Its JWTs follow at once."""
        return _answer(read_client(await clients.update(tenant_id, client_id, data, expected=versions(if_match))))

    @post(
        "/{client_id:uuid}/rotation",
        permission=WRITE,
        audit="owner.client.rotate",
        secret_answer=True,
        access=CLIENT_MADE_SEEN,
    )
    async def rotate(
        self,
        clients: NamedDependency[ClientService],
        tenant_id: FromPath[UUID],
        client_id: FromPath[UUID],
        data: JSONBody[Rotation],
    ) -> Response[ClientMade]:
        """Give an API client a new secret. With no overlap the JWTs that it has got are refused too."""
        client, secret = await clients.rotate(tenant_id, client_id, overlap=timedelta(hours=data.overlap_hours))
        return _made(made_client(client, secret), f"/api/owner/tenants/{tenant_id}/clients")

    @post("/{client_id:uuid}/epochs", permission=WRITE, audit="owner.client.update", status_code=200)
    async def end_jwts(
        self, clients: NamedDependency[ClientService], tenant_id: FromPath[UUID], client_id: FromPath[UUID]
    ) -> Response[ClientRead]:
        """Begin a new epoch of an API client: every JWT that it has got so far is refused."""
        return _answer(read_client(await clients.end_jwts(tenant_id, client_id)))

    @delete("/{client_id:uuid}", permission=WRITE, audit="owner.client.revoke")
    async def revoke(
        self, clients: NamedDependency[ClientService], tenant_id: FromPath[UUID], client_id: FromPath[UUID]
    ) -> None:
        """Revoke an API client. It and its JWTs are refused from now on."""
        await clients.revoke(tenant_id, client_id)

    @post("/revocations", permission=WRITE, audit="owner.client.revoke", status_code=200)
    async def revoke_many(
        self, clients: NamedDependency[ClientService], tenant_id: FromPath[UUID], data: JSONBody[Revocations]
    ) -> Revoked:
        """Revoke several API clients at once."""
        return Revoked(revoked=await clients.revoke_many(tenant_id, data.ids))


def _answer(shown: Shown) -> Response[Shown]:
    return Response(shown, headers=etag(shown.version))


def _made(shown: Shown, place: str) -> Response[Shown]:
    headers = etag(shown.version) | {"Location": f"{place}/{shown.id}"}
    return Response(shown, status_code=201, headers=headers)
