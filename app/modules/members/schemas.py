"""Members on the wire."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, convert, field

from app.core.access import Access
from app.core.queries import Ids
from app.core.wire import Incoming, Outgoing, Ticked
from app.modules.members.models import TenantMember

MEMBER_SEEN = Access("owner.read.member", "member", of="member_id", fields=("email", "name"))
Email = Annotated[str, Meta(max_length=320, examples=["editor@example.org"])]


class MemberCreate(Incoming):
    """A person who has an account becomes a member. Others are invited."""

    email: Email
    role_id: UUID


class MemberChange(Incoming):
    """What to change. `roleId: null` leaves the member what its workspaces let it do."""

    role_id: UUID | UnsetType | None = UNSET


class MembersChange(Incoming):
    """Who gets which role: all of them or, where one cannot, nobody."""

    ids: Ids
    role_id: UUID


class MembersChanged(Outgoing):
    """How many members have another role now; who had it already is not counted."""

    changed: int


class PlaceChange(Incoming):
    """A member's roles in one workspace; none takes the member out of it."""

    role_ids: Annotated[list[UUID], Meta(max_length=20)]


class MemberForm(Incoming):
    """The dashboard's form for a new member."""

    email: Email = ""
    role_id: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


class RoleForm(Incoming):
    """The dashboard's form for a member's role in the tenant; empty for none."""

    role_id: str = ""
    version: int | None = None
    csrf_token: str = field(name="_csrf_token", default="")


class RolesForm(Ticked):
    """The dashboard's form for the role of all who are ticked."""

    role_id: str = ""


class PlaceForm(Incoming):
    """The dashboard's form for a member's roles in one workspace."""

    workspace_id: str = ""
    role_ids: list[str] | str = field(default_factory=list)
    """A browser that has one box ticked sends no list."""
    csrf_token: str = field(name="_csrf_token", default="")


class MemberRead(Outgoing):
    """One member. `version` is also its ETag."""

    id: UUID
    tenant_id: UUID
    user_id: UUID
    email: str
    name: str
    role_id: UUID | None
    created_at: datetime
    updated_at: datetime
    version: int


class PlaceRead(Outgoing):
    """A member's roles in one workspace."""

    workspace_id: UUID
    role_ids: Sequence[UUID]


class MemberDetail(MemberRead):
    """One member, with its workspaces."""

    workspaces: Sequence[PlaceRead]


class MemberPage(Outgoing):
    """A page of members, in the order that was asked for."""

    items: Sequence[MemberRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: TenantMember) -> MemberRead:
    return convert(row, MemberRead, from_attributes=True)


def detail(row: TenantMember, places: Mapping[UUID, Sequence[UUID]]) -> MemberDetail:
    values = {name: getattr(row, name) for name in MemberRead.__struct_fields__}
    return MemberDetail(**values, workspaces=[PlaceRead(workspace_id=id_, role_ids=ids) for id_, ids in places.items()])
