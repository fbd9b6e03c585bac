"""The dashboard's pages of API tokens and API clients: a tenant's, and the platform's own."""

import json
from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Template
from msgspec import ValidationError, convert

from app.core.errors import Invalid
from app.core.ids import PLATFORM_TENANT
from app.core.paging import Pager
from app.core.secrets import Secret
from app.core.templating import PREFIX, render
from app.modules.tenants.service import TenantService
from app.modules.tokens.models import ApiClient, ApiToken
from app.modules.tokens.permissions import READ, WRITE
from app.modules.tokens.schemas import (
    CLIENT_FORM_SEEN,
    CLIENT_SEEN,
    FORM_SEEN,
    TOKEN_SEEN,
    CredentialChange,
    CredentialForm,
    Plan,
    RotationForm,
    Sort,
    State,
)
from app.modules.tokens.service import ClientService, TokenService

AnyRequest = Request[Any, Any, Any]
LISTED = ("q", "state", "sort")
STATES = [(state, state.capitalize()) for state in get_args(State)]
PLANS = [(plan, plan.capitalize()) for plan in get_args(Plan)]


class Views:
    """What these pages show: each a whole page, or for HTMX the fragment that an act or a signal changed.

    Args:
        holder: whose they are.
    """

    def __init__(
        self,
        request: AnyRequest,
        credentials: TokenService | ClientService,
        tenants: TenantService,
        pager: Pager,
        holder: UUID,
    ) -> None:
        self.request = request
        self.credentials = credentials
        self.holder = holder
        self._tenants = tenants
        self._pager = pager

    async def index(self, message: str | None = None) -> Template:
        """The list that the address asks for; after an act, with a message, the list from its beginning."""
        asked = self.request.query_params if message is None else {}
        wanted = {name: str(asked[name]) for name in LISTED if asked.get(name)}
        cursor = asked.get("cursor")
        state, sort = _one_of("state", wanted.get("state"), State), _one_of("sort", wanted.get("sort"), Sort)
        page = await self.credentials.search(
            self._pager, self.holder, words=wanted.get("q"), state=state, sort=sort or "-createdAt", cursor=cursor
        )
        context = {
            "page": page,
            "cursor": cursor,
            "params": wanted,
            "states": STATES,
            "scopes": [(item.name, item.name, item.label) for item in self.credentials.offered(self.holder)],
        }
        return _told(await self._render("index", "_list", context), message)

    async def show(self, row: ApiToken | ApiClient, fragment: str = "_drawer", message: str | None = None) -> Template:
        scopes = {item.name: (item.name, item.name, item.label) for item in self.credentials.offered(self.holder)}
        # What it holds and this actor could not give stays as it is, unless it is unticked.
        kept = {name: (name, name, "given by somebody else") for name in row.scopes if name not in scopes}
        context = {"token": row, "scopes": [*scopes.values(), *kept.values()]}
        return _told(await self._render("show", fragment, context), message)

    async def made(self, row: ApiToken | ApiClient, secret: Secret, fragment: str) -> Template:
        return await self._render("show", fragment, {"token": row, "secret": str(secret)})

    async def _render(self, page: str, fragment: str, context: dict[str, Any]) -> Template:
        noun = self.credentials.noun
        tenant = None if self.holder == PLATFORM_TENANT else await self._tenants.get(self.holder)
        context |= {
            "tenant": tenant,
            "noun": noun,
            "path": f"{PREFIX}/tenants/{tenant.id}/{noun}s" if tenant else f"{PREFIX}/{noun}s",
            "workspaces": await self._tenants.workspace_names(self.holder),
            "plans": PLANS,
        }
        return render(self.request, f"tokens/{page}.html", context, fragment=f"tokens/{fragment}.html")


def provide_holder(request: AnyRequest) -> UUID:
    """Whose tokens an address is about: the tenant's that it names, or the platform's own."""
    holder: UUID = request.path_params.get("tenant_id", PLATFORM_TENANT)
    return holder


def provide_token_views(
    request: AnyRequest,
    tokens: NamedDependency[TokenService],
    tenants: NamedDependency[TenantService],
    pager: NamedDependency[Pager],
    holder: NamedDependency[UUID],
) -> Views:
    return Views(request, tokens, tenants, pager, holder)


def provide_client_views(
    request: AnyRequest,
    clients: NamedDependency[ClientService],
    tenants: NamedDependency[TenantService],
    pager: NamedDependency[Pager],
    holder: NamedDependency[UUID],
) -> Views:
    return Views(request, clients, tenants, pager, holder)


class TokenPages(Controller):
    """A tenant's tokens."""

    path = "/tenants/{tenant_id:uuid}/tokens"

    @get("/", permission=READ)
    async def index(self, token_views: NamedDependency[Views]) -> Template:
        return await token_views.index()

    @get("/{token_id:uuid}", permission=READ, access=TOKEN_SEEN)
    async def show(self, token_views: NamedDependency[Views], token_id: FromPath[UUID]) -> Template:
        return await token_views.show(await token_views.credentials.get(token_views.holder, token_id))

    @post("/", permission=WRITE, audit="owner.token.create", status_code=200, access=FORM_SEEN)
    async def create(self, token_views: NamedDependency[Views], data: URLEncodedBody[CredentialForm]) -> Template:
        row, secret = await token_views.credentials.create(token_views.holder, **_wanted(data))
        return await token_views.made(row, secret, "_made")

    @post("/{token_id:uuid}", permission=WRITE, audit="owner.token.update", status_code=200)
    async def update(
        self, token_views: NamedDependency[Views], token_id: FromPath[UUID], data: URLEncodedBody[CredentialForm]
    ) -> Template:
        expected = None if data.version is None else {data.version}
        row = await token_views.credentials.update(token_views.holder, token_id, _change(data), expected=expected)
        return await token_views.show(row, "_body", f"{row.name} is changed.")

    @post("/{token_id:uuid}/rotation", permission=WRITE, audit="owner.token.rotate", status_code=200, access=FORM_SEEN)
    async def rotate(
        self, token_views: NamedDependency[Views], token_id: FromPath[UUID], data: URLEncodedBody[RotationForm]
    ) -> Template:
        overlap = timedelta(hours=data.overlap_hours)
        row, secret = await token_views.credentials.rotate(token_views.holder, token_id, overlap=overlap)
        return await token_views.made(row, secret, "_rotated")

    @post("/{token_id:uuid}/revocation", permission=WRITE, audit="owner.token.revoke", status_code=200)
    async def revoke(self, token_views: NamedDependency[Views], token_id: FromPath[UUID]) -> Template:
        row = await token_views.credentials.revoke(token_views.holder, token_id)
        return await token_views.index(f"{row.name} is revoked.")

    @post("/revocations", permission=WRITE, audit="owner.token.revoke", status_code=200)
    async def revoke_many(self, token_views: NamedDependency[Views]) -> Template:
        count = await token_views.credentials.revoke_many(token_views.holder, await _ticked(token_views.request))
        return await token_views.index(_revoked(count, "token"))


class PlatformTokenPages(TokenPages):
    """The platform's own tokens."""

    path = "/tokens"


class ClientPages(Controller):
    """A tenant's API clients."""

    path = "/tenants/{tenant_id:uuid}/clients"

    @get("/", permission=READ)
    async def index(self, client_views: NamedDependency[Views]) -> Template:
        return await client_views.index()

    @get("/{client_id:uuid}", permission=READ, access=CLIENT_SEEN)
    async def show(self, client_views: NamedDependency[Views], client_id: FromPath[UUID]) -> Template:
        return await client_views.show(await client_views.credentials.get(client_views.holder, client_id))

    @post("/", permission=WRITE, audit="owner.client.create", status_code=200, access=CLIENT_FORM_SEEN)
    async def create(self, client_views: NamedDependency[Views], data: URLEncodedBody[CredentialForm]) -> Template:
        row, secret = await client_views.credentials.create(client_views.holder, **_wanted(data))
        return await client_views.made(row, secret, "_made")

    @post("/{client_id:uuid}", permission=WRITE, audit="owner.client.update", status_code=200)
    async def update(
        self, client_views: NamedDependency[Views], client_id: FromPath[UUID], data: URLEncodedBody[CredentialForm]
    ) -> Template:
        expected = None if data.version is None else {data.version}
        row = await client_views.credentials.update(client_views.holder, client_id, _change(data), expected=expected)
        return await client_views.show(row, "_body", f"{row.name} is changed.")

    @post(
        "/{client_id:uuid}/rotation",
        permission=WRITE,
        audit="owner.client.rotate",
        status_code=200,
        access=CLIENT_FORM_SEEN,
    )
    async def rotate(
        self, client_views: NamedDependency[Views], client_id: FromPath[UUID], data: URLEncodedBody[RotationForm]
    ) -> Template:
        overlap = timedelta(hours=data.overlap_hours)
        row, secret = await client_views.credentials.rotate(client_views.holder, client_id, overlap=overlap)
        return await client_views.made(row, secret, "_rotated")

    @post("/{client_id:uuid}/epochs", permission=WRITE, audit="owner.client.update", status_code=200)
    async def end_jwts(
        self,
        client_views: NamedDependency[Views],
        clients: NamedDependency[ClientService],
        client_id: FromPath[UUID],
    ) -> Template:
        row = await clients.end_jwts(client_views.holder, client_id)
        return await client_views.show(row, "_body", f"The JWTs of {row.name} are refused from now on.")

    @post("/{client_id:uuid}/revocation", permission=WRITE, audit="owner.client.revoke", status_code=200)
    async def revoke(self, client_views: NamedDependency[Views], client_id: FromPath[UUID]) -> Template:
        row = await client_views.credentials.revoke(client_views.holder, client_id)
        return await client_views.index(f"{row.name} is revoked.")

    @post("/revocations", permission=WRITE, audit="owner.client.revoke", status_code=200)
    async def revoke_many(self, client_views: NamedDependency[Views]) -> Template:
        count = await client_views.credentials.revoke_many(client_views.holder, await _ticked(client_views.request))
        return await client_views.index(_revoked(count, "client"))


def _told(answer: Template, message: str | None) -> Template:
    if message is not None:
        answer.headers["HX-Trigger"] = json.dumps({"toast": {"message": message, "tone": "ok"}})
    return answer


def _revoked(count: int, noun: str) -> str:
    return f"1 {noun} is revoked." if count == 1 else f"{count} {noun}s are revoked."


def _one_of(name: str, value: str | None, choice: Any) -> Any:
    if value is not None and value not in get_args(choice):
        raise Invalid.field(name, f"must be one of {', '.join(get_args(choice))}")
    return value


async def _ticked(request: AnyRequest) -> list[UUID]:
    values = (await request.form()).getall("ids", [])
    if not values:
        raise Invalid.field("ids", "tick at least one")
    try:
        return convert(values, list[UUID])
    except ValidationError:
        raise Invalid.field("ids", "must be UUIDs") from None


def _wanted(form: CredentialForm) -> dict[str, Any]:
    return {
        "name": form.name,
        "scopes": _scopes(form),
        "workspace_id": _id("workspaceId", form.workspace_id),
        "addresses": form.addresses.split(),
        "plan": form.plan,
        "expires_in_days": _days(form.expires_in_days),
    }


def _change(form: CredentialForm) -> CredentialChange:
    change = CredentialChange(name=form.name, scopes=_scopes(form), addresses=form.addresses.split(), plan=form.plan)
    if form.expires_in_days.strip():  # empty: the end stays what it is
        change.expires_in_days = _days(form.expires_in_days)
    return change


def _scopes(form: CredentialForm) -> list[str]:
    return [form.scopes] if isinstance(form.scopes, str) else form.scopes


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
