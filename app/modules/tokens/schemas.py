"""API tokens and API clients on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, convert, field

from app.core.access import Access
from app.core.queries import Ids
from app.core.wire import Incoming, Outgoing, Sensitive
from app.modules.tokens.models import ApiClient, ApiToken

MAX_NAME, MAX_ADDRESSES = 120, 20
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, description="One line", examples=["Website"])]
Scopes = Annotated[list[str], Meta(min_length=1, max_length=100, examples=[["articles:read", "ai:run"]])]
Days = Annotated[int, Meta(ge=1, le=3650)]
Plan = Literal["standard", "plus", "unlimited"]
State = Literal["active", "expired", "revoked"]
Addresses = Annotated[
    list[str],
    Meta(
        max_length=MAX_ADDRESSES,
        description="Addresses or networks that it may be used from; none is from anywhere",
        examples=[["203.0.113.0/24"]],
    ),
]
Hours = Annotated[int, Meta(ge=0, le=720, description="So many hours the secret before stays good as well")]

TOKEN_SEEN = Access("owner.read.token", "token", of="token_id", fields=("scopes", "last_used_at"))
CLIENT_SEEN = Access("owner.read.client", "client", of="client_id", fields=("scopes", "last_used_at"))
MADE_SEEN = Access("owner.reveal.token", "token", of="id", fields=("token",))
CLIENT_MADE_SEEN = Access("owner.reveal.client", "client", of="id", fields=("client_secret",))
FORM_SEEN = Access("owner.reveal.token", "token", of="token", fields=("token",))
CLIENT_FORM_SEEN = Access("owner.reveal.client", "client", of="token", fields=("client_secret",))


class CredentialCreate(Incoming):
    """A new token or client. `workspaceId` ties it to one workspace; `expiresInDays: null` lets it never expire."""

    name: Name
    scopes: Scopes
    workspace_id: UUID | None = None
    addresses: Addresses = field(default_factory=list)
    plan: Plan = "standard"
    expires_in_days: Days | None = 90


class PlatformTokenCreate(Incoming):
    """A new token for `/api/owner`."""

    name: Name
    scopes: Scopes
    addresses: Addresses = field(default_factory=list)
    expires_in_days: Days | None = 90


class CredentialChange(Incoming):
    """What to change; fields that are left out stay as they are. `expiresInDays` counts from now."""

    name: Name | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET
    addresses: Addresses | UnsetType = UNSET
    plan: Plan | UnsetType = UNSET
    expires_in_days: Days | UnsetType | None = UNSET


class Rotation(Incoming):
    """A new secret. The one before is good for `overlapHours` more; with 0 it is refused from now on."""

    overlap_hours: Hours = 24


class Revocations(Incoming):
    """Which ones to revoke."""

    ids: Ids


class Revoked(Outgoing):
    """How many of those named were active, and are revoked now."""

    revoked: int


class TokenRead(Outgoing):
    """A token without its secret; `prefix` is how the secret begins. `version` is also its ETag."""

    id: UUID
    tenant_id: UUID
    workspace_id: UUID | None
    name: str
    prefix: str
    state: State
    scopes: Sequence[str]
    addresses: Sequence[str]
    plan: str
    expires_at: datetime | None
    overlap_until: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    created_by: str
    created_at: datetime
    version: int


class TokenMade(TokenRead, Sensitive):
    """A token that was just made or rotated. `token` is the secret, and is not shown again."""

    token: str


class TokenPage(Outgoing):
    """A page of tokens."""

    items: Sequence[TokenRead]
    next_cursor: str | None
    prev_cursor: str | None


class ClientRead(TokenRead):
    """A client without its secret; its `id` is what OAuth calls `client_id`. JWTs of an epoch before are refused."""

    epoch: int


class ClientMade(ClientRead, Sensitive):
    """A client that was just made or rotated. `clientSecret` is not shown again."""

    client_secret: str


class ClientPage(Outgoing):
    """A page of clients."""

    items: Sequence[ClientRead]
    next_cursor: str | None
    prev_cursor: str | None


class CredentialForm(Incoming):
    """The dashboard's form for a token or a client. `expiresInDays` is empty for one that does not expire."""

    name: str = ""
    scopes: list[str] | str = field(default_factory=list)
    """A browser that has one box ticked sends no list."""
    workspace_id: str = ""
    addresses: str = ""
    plan: Plan = "standard"
    expires_in_days: str = "90"
    version: int | None = None
    """Of the one that is changed, as the person saw it."""
    csrf_token: str = field(name="_csrf_token", default="")


class RotationForm(Incoming):
    overlap_hours: Hours = 24
    csrf_token: str = field(name="_csrf_token", default="")


def read(row: ApiToken) -> TokenRead:
    return convert(row, TokenRead, from_attributes=True)


def read_client(row: ApiClient) -> ClientRead:
    return convert(row, ClientRead, from_attributes=True)


def made(row: ApiToken, secret: str) -> TokenMade:
    return TokenMade(**_values(row, TokenRead), token=str(secret))


def made_client(row: ApiClient, secret: str) -> ClientMade:
    return ClientMade(**_values(row, ClientRead), client_secret=str(secret))


def _values(row: object, shape: type[Outgoing]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in shape.__struct_fields__}
