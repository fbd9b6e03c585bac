"""The dashboard's pages of API tokens."""

import json
from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template

from app.core.errors import Invalid
from app.core.ids import PLATFORM_TENANT
from app.core.paging import Pager
from app.core.templating import PREFIX, render
from app.modules.tenants.service import TenantService
from app.modules.tokens.permissions import READ, WRITE
from app.modules.tokens.schemas import TokenForm
from app.modules.tokens.service import TokenService

AnyRequest = Request[Any, Any, Any]


def provide_holder(request: AnyRequest) -> UUID:
    """Whose tokens an address is about: the tenant's that it names, or the platform's own."""
    holder: UUID = request.path_params.get("tenant_id", PLATFORM_TENANT)
    return holder


class TokenPages(Controller):
    """A tenant's tokens."""

    path = "/tenants/{tenant_id:uuid}/tokens"

    @get("/", permission=READ)
    async def index(
        self,
        request: AnyRequest,
        tokens: NamedDependency[TokenService],
        tenants: NamedDependency[TenantService],
        pager: NamedDependency[Pager],
        holder: NamedDependency[UUID],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        context = await _list(tokens, tenants, pager, holder, cursor)
        return render(request, "tokens/tokens.html", context, fragment="tokens/_tokens.html")

    @get("/{token_id:uuid}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        tokens: NamedDependency[TokenService],
        tenants: NamedDependency[TenantService],
        holder: NamedDependency[UUID],
        token_id: FromPath[UUID],
    ) -> Template:
        context = await _holder(tenants, holder) | {
            "token": await tokens.get(holder, token_id),
            "workspaces": await tenants.workspace_names(holder),
        }
        return render(request, "tokens/token.html", context, fragment="tokens/_token.html")

    @post("/", permission=WRITE, audit="owner.token.create", status_code=200)
    async def create(
        self,
        request: AnyRequest,
        tokens: NamedDependency[TokenService],
        tenants: NamedDependency[TenantService],
        holder: NamedDependency[UUID],
        data: URLEncodedBody[TokenForm],
    ) -> Template:
        token, secret = await tokens.create(
            holder,
            name=data.name,
            scopes=[data.scopes] if isinstance(data.scopes, str) else data.scopes,
            workspace_id=_id("workspaceId", data.workspace_id),
            expires_in_days=_days(data.expires_in_days),
        )
        context = await _holder(tenants, holder) | {"token": token, "secret": str(secret)}
        return render(request, "tokens/token.html", context, fragment="tokens/_made.html")

    @post("/{token_id:uuid}/revocation", permission=WRITE, audit="owner.token.revoke", status_code=200)
    async def revoke(
        self,
        request: AnyRequest,
        tokens: NamedDependency[TokenService],
        tenants: NamedDependency[TenantService],
        pager: NamedDependency[Pager],
        holder: NamedDependency[UUID],
        token_id: FromPath[UUID],
    ) -> Template:
        token = await tokens.revoke(holder, token_id)
        context = await _list(tokens, tenants, pager, holder)
        answer = render(request, "tokens/tokens.html", context, fragment="tokens/_tokens.html")
        told = {"toast": {"message": f"{token.name} is revoked.", "tone": "ok"}}
        answer.headers["HX-Trigger"] = json.dumps(told)
        return answer


class PlatformTokenPages(TokenPages):
    """The platform's own tokens."""

    path = "/tokens"


async def _holder(tenants: TenantService, holder: UUID) -> dict[str, Any]:
    if holder == PLATFORM_TENANT:
        return {"tenant": None, "path": f"{PREFIX}/tokens"}
    return {"tenant": await tenants.get(holder), "path": f"{PREFIX}/tenants/{holder}/tokens"}


async def _list(
    tokens: TokenService, tenants: TenantService, pager: Pager, holder: UUID, cursor: str | None = None
) -> dict[str, Any]:
    return await _holder(tenants, holder) | {
        "page": await tokens.search(pager, holder, cursor=cursor),
        "cursor": cursor,
        "scopes": [(item.name, item.name, item.label) for item in tokens.offered(holder)],
        "workspaces": await tenants.workspace_names(holder),
    }


def _id(field: str, value: str) -> UUID | None:
    try:
        return UUID(value) if value else None
    except ValueError:
        raise Invalid.field(field, "must be a UUID") from None


def _days(value: str) -> int | None:
    try:
        return int(value) if value.strip() else None
    except ValueError:
        raise Invalid.field("expiresInDays", "must be a number of days, or empty") from None
