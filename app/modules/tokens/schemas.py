"""API tokens on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, convert, field

from app.core.wire import Incoming, Outgoing
from app.modules.tokens.models import ApiToken

MAX_NAME = 120
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, description="One line", examples=["Website"])]
Scopes = Annotated[list[str], Meta(min_length=1, max_length=100, examples=[["articles:read", "ai:run"]])]
Days = Annotated[int, Meta(ge=1, le=3650)]


class TokenCreate(Incoming):
    """A new token. `workspaceId` ties it to one workspace; `expiresInDays: null` makes one that does not expire."""

    name: Name
    scopes: Scopes
    workspace_id: UUID | None = None
    expires_in_days: Days | None = 90


class PlatformTokenCreate(Incoming):
    """A new token for `/api/owner`."""

    name: Name
    scopes: Scopes
    expires_in_days: Days | None = 90


class TokenRead(Outgoing):
    """A token without its secret; `prefix` is how the secret begins."""

    id: UUID
    tenant_id: UUID
    workspace_id: UUID | None
    name: str
    prefix: str
    scopes: Sequence[str]
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    created_by: str
    created_at: datetime


class TokenMade(TokenRead):
    """A token that was just made. `token` is the secret, and is not shown again."""

    token: str


class TokenPage(Outgoing):
    """A page of tokens, newest first."""

    items: Sequence[TokenRead]
    next_cursor: str | None
    prev_cursor: str | None


class TokenForm(Incoming):
    """The dashboard's form for a new token. `expires_in_days` is empty for a token that does not expire."""

    name: str = ""
    scopes: list[str] | str = field(default_factory=list)
    """A browser that has one box ticked sends no list."""
    workspace_id: str = ""
    expires_in_days: str = "90"
    csrf_token: str = field(name="_csrf_token", default="")


def read(row: ApiToken) -> TokenRead:
    return convert(row, TokenRead, from_attributes=True)


def made(row: ApiToken, secret: str) -> TokenMade:
    values = {name: getattr(row, name) for name in TokenRead.__struct_fields__}
    return TokenMade(**values, token=str(secret))
