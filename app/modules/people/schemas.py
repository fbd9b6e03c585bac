"""People on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, convert, field

from app.core.access import Access
from app.core.queries import Ids
from app.core.wire import MAX_REASON, Incoming, Outgoing, Ticked
from app.modules.people.models import User, UserConsent

USERS_SEEN = Access("owner.read.user", "user", fields=("email", "name", "phone"))
USER_SEEN = Access("owner.read.user", "user", of="user_id", fields=("email", "name", "phone", "profile", "sessions"))
SESSIONS_SEEN = Access("owner.read.session", "session", fields=("user", "ip", "user_agent"))
MAX_NAME, MAX_EMAIL, MAX_PHONE, MAX_ABOUT = 120, 320, 40, 2000
Role = Literal["owner", "operator", "auditor", "user"]
"""What a person is on the platform (`app/core/roles.py`); a `user` is nothing there."""
State = Literal["active", "invited", "banned"]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, description="One line", examples=["Ada Lovelace"])]
Email = Annotated[str, Meta(max_length=MAX_EMAIL, examples=["ada@example.org"])]
Phone = Annotated[str, Meta(max_length=MAX_PHONE, examples=["+44 20 7946 0018"])]
Reason = Annotated[str, Meta(max_length=MAX_REASON, description="Why, for the audit log")]


class Purpose(Struct, frozen=True):
    """What a consent is for, and the text that is agreed to; another text is another version."""

    name: str
    version: int
    text: str


PURPOSES = (
    Purpose("product_news", 1, "Send me news about TekNav by e-mail, a few times a year."),
    Purpose("usage_statistics", 1, "Count which parts of the dashboard I use, so that they can be made better."),
)


class UserCreate(Incoming):
    """A new person. A mail with a link, good for three days, lets them set a password."""

    email: Email
    name: Name
    phone: Phone | None = None


class UserChange(Incoming):
    """What to change; fields that are left out stay as they are."""

    name: Name | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    phone: Phone | UnsetType | None = UNSET


class RoleChange(Incoming):
    """On the platform an `owner` may do everything, an `operator` read and look after queues, an `auditor` read."""

    role: Role


class Ban(Incoming):
    reason: Reason = ""


class Bans(Incoming):
    """Whom to ban: all of them or, where one cannot be, nobody."""

    ids: Ids
    reason: Reason = ""


class Unbans(Incoming):
    """Whom to let in again."""

    ids: Ids


class Changed(Outgoing):
    """How many people were changed; who is so already is not counted."""

    changed: int


class ProfileChange(Incoming):
    """What people say about themselves; fields that are left out stay as they are."""

    name: Name | UnsetType = UNSET
    phone: Phone | UnsetType | None = UNSET
    timezone: Annotated[str, Meta(max_length=64, examples=["Europe/Berlin"])] | UnsetType = UNSET
    about: Annotated[str, Meta(max_length=MAX_ABOUT)] | UnsetType = UNSET


class ConsentChange(Incoming):
    """An answer to the present text of a purpose."""

    granted: bool


class UserForm(Incoming):
    """The dashboard's form for a person."""

    name: str = ""
    email: str = ""
    phone: str = ""
    version: int | None = None
    csrf_token: str = field(name="_csrf_token", default="")


class RoleForm(Incoming):
    role: Role = "user"
    csrf_token: str = field(name="_csrf_token", default="")


class BanForm(Incoming):
    reason: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


class BansForm(Ticked):
    reason: str = ""


class UserRead(Outgoing):
    """A person. `version` is also the ETag."""

    id: UUID
    email: str
    name: str
    phone: str | None
    role: str
    state: str
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime
    version: int


class UserPage(Outgoing):
    """A page of people, in the order that was asked for."""

    items: Sequence[UserRead]
    next_cursor: str | None
    prev_cursor: str | None


class ConsentRead(Outgoing):
    """An answer that was given, to which version of the purpose's text."""

    purpose: str
    text_version: int
    granted: bool
    created_at: datetime


def read(row: User) -> UserRead:
    return convert(row, UserRead, from_attributes=True)


def read_consent(row: UserConsent) -> ConsentRead:
    return convert(row, ConsentRead, from_attributes=True)
