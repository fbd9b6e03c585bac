"""Invitations on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, convert, field

from app.core.passwords import Password
from app.core.queries import Ids
from app.core.wire import Incoming, Outgoing
from app.modules.invitations.models import Invitation

State = Literal["pending", "accepted", "expired", "revoked"]
Email = Annotated[str, Meta(max_length=320, examples=["editor@example.org"])]


class InvitationCreate(Incoming):
    """Who is invited, and as what."""

    email: Email
    role_id: UUID


class InvitationForm(Incoming):
    """The dashboard's form for that."""

    email: Email = ""
    role_id: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


class InvitationIds(Incoming):
    """Which invitations: all of them or, where one cannot be, none."""

    ids: Ids


class InvitationsChanged(Outgoing):
    """How many invitations were changed."""

    changed: int


class RegisterForm(Incoming):
    """Who has no account yet makes one on the invitation's page."""

    name: str = ""
    password: Password = ""
    repeat: Password = ""


class InvitationRead(Outgoing):
    """One invitation, without its link."""

    id: UUID
    tenant_id: UUID
    email: str
    role_id: UUID
    state: str
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None
    created_by: str
    created_at: datetime


class InvitationMade(InvitationRead):
    """An invitation that was just made. `link` leads into the tenant, and is not shown again."""

    link: str


class InvitationPage(Outgoing):
    """A page of invitations, in the order that was asked for."""

    items: Sequence[InvitationRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: Invitation) -> InvitationRead:
    return convert(row, InvitationRead, from_attributes=True)


def made(row: Invitation, link: str) -> InvitationMade:
    values = {name: getattr(row, name) for name in InvitationRead.__struct_fields__}
    return InvitationMade(**values, link=link)
