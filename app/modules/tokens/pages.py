"""The dashboard's pages of API tokens and API clients: a tenant's, and the platform's own."""

from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Template

from app.core.access import Access
from app.core.errors import Invalid
from app.core.ids import PLATFORM_TENANT
from app.core.listing import asked_of, filled, kept
from app.core.paging import Page, Pager
from app.core.queries import many, one_of, uuid_of, uuids_of
from app.core.secrets import Secret
from app.core.templating import home_of, render, told
from app.core.wire import Ticked
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
    State,
)
from app.modules.tokens.service import CLIENT_SORTS, TOKEN_SORTS, ClientService, TokenService

AnyRequest = Request[Any, Any, Any]
LISTED = ("q", "state", "sort")
STATES = [(state, state.capitalize()) for state in get_args(State)]
PLANS = [(plan, plan.capitalize()) for plan in get_args(Plan)]


class Views:
    """What these pages show and do: each a whole page, or for HTMX the fragment that an act or a signal changed.

    Args:
        holder: whose they are.
        seen: what the page of one of them shows.
    """

    def __init__(
        self,
        request: AnyRequest,
        credentials: TokenService | ClientService,
        tenants: TenantService,
        pager: Pager,
        holder: UUID,
        seen: Access,
    ) -> None:
        self._request = request
        self._credentials = credentials
        self._holder = holder
        self._seen = seen
        self._tenants = tenants
        self._pager = pager

    async def index(self, message: str | None = None) -> Template:
        """The list that the address asks for; after an act, with a message, as the reader has it."""
        wanted, cursor = (
            asked_of(self._request.query_params, LISTED)
            if message is None
            else kept(self._request, f"{home_of(self._request)}/{self._credentials.noun}s", LISTED)
        )
        words, state = wanted.get("q"), one_of("state", wanted.get("state"), State)
        pager = self._pager.by(wanted.get("sort"))

        async def read(at: str | None) -> Page[Any]:
            return await self._credentials.search(pager, self._holder, words=words, state=state, cursor=at)

        page, cursor = await filled(read, cursor)
        context = {
            "page": page,
            "cursor": cursor,
            "params": wanted,
            "states": STATES,
            "scopes": [(item.name, item.name, item.label) for item in self._credentials.offered(self._holder)],
        }
        return told(await self._render("index", "_list", context), message)

    async def one(self, credential_id: UUID) -> Template:
        return await self.show(await self._credentials.get(self._holder, credential_id), "_drawer")

    async def show(self, row: ApiToken | ApiClient, fragment: str, message: str | None = None) -> Template:
        return told(await self._render("show", fragment, self._one(row), self._seen), message)

    async def create(self, form: CredentialForm) -> Template:
        row, secret = await self._credentials.create(self._holder, **_wanted(form))
        return await self._made("_made", row, secret)

    async def update(self, credential_id: UUID, form: CredentialForm) -> Template:
        expected = None if form.version is None else {form.version}
        row = await self._credentials.update(self._holder, credential_id, _change(form), expected=expected)
        return await self.show(row, "_body", f"{row.name} is changed.")

    async def rotate(self, credential_id: UUID, form: RotationForm) -> Template:
        overlap = timedelta(hours=form.overlap_hours)
        row, secret = await self._credentials.rotate(self._holder, credential_id, overlap=overlap)
        return await self._made("_rotated", row, secret)

    async def revoke(self, credential_id: UUID) -> Template:
        row = await self._credentials.revoke(self._holder, credential_id)
        return await self.index(f"{row.name} is revoked.")

    async def revoke_many(self, chosen: Ticked) -> Template:
        count = await self._credentials.revoke_many(self._holder, uuids_of("ids", chosen.ids))
        noun = self._credentials.noun
        return await self.index(f"1 {noun} is revoked." if count == 1 else f"{count} {noun}s are revoked.")

    async def _made(self, fragment: str, row: ApiToken | ApiClient, secret: Secret) -> Template:
        return await self._render("show", fragment, self._one(row) | {"secret": str(secret)}, self._seen)

    def _one(self, row: ApiToken | ApiClient) -> dict[str, Any]:
        scopes = {item.name: (item.name, item.name, item.label) for item in self._credentials.offered(self._holder)}
        # What it holds and this actor could not give stays as it is, unless it is unticked.
        kept = {name: (name, name, "given by somebody else") for name in row.scopes if name not in scopes}
        return {"token": row, "scopes": [*scopes.values(), *kept.values()]}

    async def _render(
        self, page: str, fragment: str, context: dict[str, Any], access: Access | None = None
    ) -> Template:
        noun = self._credentials.noun
        home = home_of(self._request)
        context |= {
            "tenant": None if self._holder == PLATFORM_TENANT else await self._tenants.called(self._holder),
            "tenant_id": self._holder,
            "home": home,
            "noun": noun,
            "path": f"{home}/{noun}s",
            "workspaces": await self._tenants.workspace_names(self._holder),
            "plans": PLANS,
        }
        part = f"tokens/{fragment}.html"
        return render(self._request, f"tokens/{page}.html", context, fragment=part, access=access)


def provide_token_views(
    request: AnyRequest,
    tokens: NamedDependency[TokenService],
    tenants: NamedDependency[TenantService],
    pager: NamedDependency[Pager],
    holder: NamedDependency[UUID],
) -> Views:
    return Views(request, tokens, tenants, pager, holder, TOKEN_SEEN)


def provide_client_views(
    request: AnyRequest,
    clients: NamedDependency[ClientService],
    tenants: NamedDependency[TenantService],
    pager: NamedDependency[Pager],
    holder: NamedDependency[UUID],
) -> Views:
    return Views(request, clients, tenants, pager, holder, CLIENT_SEEN)


class TokenPages(Controller):
    """A tenant's tokens."""

    path = "/tenants/{tenant_id:uuid}/tokens"

    @get("/", permission=READ, sorts=TOKEN_SORTS)
    async def index(self, token_views: NamedDependency[Views]) -> Template:
        return await token_views.index()

    @get("/{token_id:uuid}", permission=READ, access=TOKEN_SEEN)
    async def show(self, token_views: NamedDependency[Views], token_id: FromPath[UUID]) -> Template:
        return await token_views.one(token_id)

    @post("/", permission=WRITE, audit="owner.token.create", status_code=200, access=FORM_SEEN)
    async def create(self, token_views: NamedDependency[Views], data: URLEncodedBody[CredentialForm]) -> Template:
        return await token_views.create(data)

    @post("/{token_id:uuid}", permission=WRITE, audit="owner.token.update", status_code=200)
    async def update(
        self, token_views: NamedDependency[Views], token_id: FromPath[UUID], data: URLEncodedBody[CredentialForm]
    ) -> Template:
        return await token_views.update(token_id, data)

    @post("/{token_id:uuid}/rotation", permission=WRITE, audit="owner.token.rotate", status_code=200, access=FORM_SEEN)
    async def rotate(
        self, token_views: NamedDependency[Views], token_id: FromPath[UUID], data: URLEncodedBody[RotationForm]
    ) -> Template:
        return await token_views.rotate(token_id, data)

    @post("/{token_id:uuid}/revocation", permission=WRITE, audit="owner.token.revoke", status_code=200)
    async def revoke(self, token_views: NamedDependency[Views], token_id: FromPath[UUID]) -> Template:
        return await token_views.revoke(token_id)

    @post("/revocations", permission=WRITE, audit="owner.token.revoke", status_code=200)
    async def revoke_many(self, token_views: NamedDependency[Views], data: URLEncodedBody[Ticked]) -> Template:
        return await token_views.revoke_many(data)


class OwnTokenPages(TokenPages):
    """Those of the platform itself, which reach everything, and of the tenant that the reader belongs to."""

    path = "/tokens"


class ClientPages(Controller):
    """A tenant's API clients."""

    path = "/tenants/{tenant_id:uuid}/clients"

    @get("/", permission=READ, sorts=CLIENT_SORTS)
    async def index(self, client_views: NamedDependency[Views]) -> Template:
        return await client_views.index()

    @get("/{client_id:uuid}", permission=READ, access=CLIENT_SEEN)
    async def show(self, client_views: NamedDependency[Views], client_id: FromPath[UUID]) -> Template:
        return await client_views.one(client_id)

    @post("/", permission=WRITE, audit="owner.client.create", status_code=200, access=CLIENT_FORM_SEEN)
    async def create(self, client_views: NamedDependency[Views], data: URLEncodedBody[CredentialForm]) -> Template:
        return await client_views.create(data)

    @post("/{client_id:uuid}", permission=WRITE, audit="owner.client.update", status_code=200)
    async def update(
        self, client_views: NamedDependency[Views], client_id: FromPath[UUID], data: URLEncodedBody[CredentialForm]
    ) -> Template:
        return await client_views.update(client_id, data)

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
        return await client_views.rotate(client_id, data)

    @post("/{client_id:uuid}/epochs", permission=WRITE, audit="owner.client.update", status_code=200)
    async def end_jwts(
        self,
        client_views: NamedDependency[Views],
        clients: NamedDependency[ClientService],
        holder: NamedDependency[UUID],
        client_id: FromPath[UUID],
    ) -> Template:
        row = await clients.end_jwts(holder, client_id)
        return await client_views.show(row, "_body", f"The JWTs of {row.name} are refused from now on.")

    @post("/{client_id:uuid}/revocation", permission=WRITE, audit="owner.client.revoke", status_code=200)
    async def revoke(self, client_views: NamedDependency[Views], client_id: FromPath[UUID]) -> Template:
        return await client_views.revoke(client_id)

    @post("/revocations", permission=WRITE, audit="owner.client.revoke", status_code=200)
    async def revoke_many(self, client_views: NamedDependency[Views], data: URLEncodedBody[Ticked]) -> Template:
        return await client_views.revoke_many(data)


class OwnClientPages(ClientPages):
    """Those of the tenant that the reader belongs to."""

    path = "/clients"


def _wanted(form: CredentialForm) -> dict[str, Any]:
    return {
        "name": form.name,
        "scopes": many(form.scopes),
        "workspace_id": uuid_of("workspaceId", form.workspace_id),
        "addresses": form.addresses.split(),
        "plan": form.plan,
        "expires_in_days": _days(form.expires_in_days),
    }


def _change(form: CredentialForm) -> CredentialChange:
    change = CredentialChange(
        name=form.name, scopes=[*many(form.scopes)], addresses=form.addresses.split(), plan=form.plan
    )
    if form.expires_in_days.strip():  # empty: the end stays what it is
        change.expires_in_days = _days(form.expires_in_days)
    return change


def _days(value: str) -> int | None:
    try:
        return int(value) if value.strip() else None
    except ValueError:
        raise Invalid.field("expiresInDays", "must be a number of days, or empty") from None
