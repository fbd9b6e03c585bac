"""`/api/owner/tenants/{id}/tokens` and `/api/owner/tokens`."""

from uuid import UUID

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from app.core.ids import PLATFORM_TENANT
from app.core.paging import Pager
from app.modules.tokens.permissions import READ, WRITE
from app.modules.tokens.schemas import PlatformTokenCreate, TokenCreate, TokenMade, TokenPage, TokenRead, made, read
from app.modules.tokens.service import TokenService


class TenantTokenController(Controller):
    path = "/tenants/{tenant_id:uuid}/tokens"

    @get("/", permission=READ)
    async def search(
        self,
        tokens: NamedDependency[TokenService],
        pager: NamedDependency[Pager],
        tenant_id: FromPath[UUID],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> TokenPage:
        """List a tenant's tokens, newest first, without their secrets."""
        page = (await tokens.search(pager, tenant_id, limit=limit, cursor=cursor)).map(read)
        return TokenPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @post("/", permission=WRITE, audit="owner.token.create", secret_answer=True)
    async def create(
        self, tokens: NamedDependency[TokenService], tenant_id: FromPath[UUID], data: JSONBody[TokenCreate]
    ) -> Response[TokenMade]:
        """Make a token for a tenant's program. The secret is in this answer only."""
        token, secret = await tokens.create(
            tenant_id,
            name=data.name,
            scopes=data.scopes,
            workspace_id=data.workspace_id,
            expires_in_days=data.expires_in_days,
        )
        where = f"/api/owner/tenants/{tenant_id}/tokens/{token.id}"
        return Response(made(token, secret), status_code=201, headers={"Location": where})

    @get("/{token_id:uuid}", permission=READ)
    async def show(
        self, tokens: NamedDependency[TokenService], tenant_id: FromPath[UUID], token_id: FromPath[UUID]
    ) -> TokenRead:
        """Read one of a tenant's tokens, without its secret."""
        return read(await tokens.get(tenant_id, token_id))

    @delete("/{token_id:uuid}", permission=WRITE, audit="owner.token.revoke")
    async def revoke(
        self, tokens: NamedDependency[TokenService], tenant_id: FromPath[UUID], token_id: FromPath[UUID]
    ) -> None:
        """Revoke one of a tenant's tokens. It is refused from now on."""
        await tokens.revoke(tenant_id, token_id)


class PlatformTokenController(Controller):
    path = "/tokens"

    @get("/", permission=READ)
    async def search(
        self,
        tokens: NamedDependency[TokenService],
        pager: NamedDependency[Pager],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> TokenPage:
        """List the platform's own tokens, newest first, without their secrets."""
        page = (await tokens.search(pager, PLATFORM_TENANT, limit=limit, cursor=cursor)).map(read)
        return TokenPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @post("/", permission=WRITE, audit="owner.token.create", secret_answer=True)
    async def create(
        self, tokens: NamedDependency[TokenService], data: JSONBody[PlatformTokenCreate]
    ) -> Response[TokenMade]:
        """Make a token for `/api/owner`. The secret is in this answer only."""
        token, secret = await tokens.create(
            PLATFORM_TENANT, name=data.name, scopes=data.scopes, expires_in_days=data.expires_in_days
        )
        return Response(made(token, secret), status_code=201, headers={"Location": f"/api/owner/tokens/{token.id}"})

    @get("/{token_id:uuid}", permission=READ)
    async def show(self, tokens: NamedDependency[TokenService], token_id: FromPath[UUID]) -> TokenRead:
        """Read one of the platform's tokens, without its secret."""
        return read(await tokens.get(PLATFORM_TENANT, token_id))

    @delete("/{token_id:uuid}", permission=WRITE, audit="owner.token.revoke")
    async def revoke(self, tokens: NamedDependency[TokenService], token_id: FromPath[UUID]) -> None:
        """Revoke one of the platform's tokens. It is refused from now on."""
        await tokens.revoke(PLATFORM_TENANT, token_id)
