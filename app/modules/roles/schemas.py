"""Roles on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from app.core.queries import many
from app.core.wire import Incoming, Outgoing
from app.modules.roles.models import Role

MAX_NAME, MAX_ABOUT = 60, 200
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, description="One line", examples=["Photo desk"])]
About = Annotated[str, Meta(max_length=MAX_ABOUT)]
Permissions = Annotated[list[str], Meta(max_length=100, examples=[["articles:read", "articles:write"]])]


class RoleCreate(Incoming):
    """A new role of a tenant. Nobody can give it a permission that they do not have."""

    name: Name
    permissions: Permissions
    about: About = ""


class RoleChange(Incoming):
    """What to change; fields that are left out stay as they are. `permissions` takes the place of all before."""

    name: Name | UnsetType = UNSET
    about: About | UnsetType = UNSET
    permissions: Permissions | UnsetType = UNSET


class RoleForm(Incoming):
    """The dashboard's form for a role."""

    name: str = ""
    about: str = ""
    permissions: list[str] | str = field(default_factory=list)
    """A browser that has one box ticked sends no list."""
    version: int | None = None
    csrf_token: str = field(name="_csrf_token", default="")

    def chosen(self) -> list[str]:
        return [*many(self.permissions)]

    def change(self) -> RoleChange:
        return RoleChange(name=self.name, about=self.about, permissions=self.chosen())


class RoleRead(Outgoing):
    """One role of a tenant. `builtIn` is null for one that the tenant made; `version` is also its ETag."""

    id: UUID
    tenant_id: UUID
    name: str
    about: str
    built_in: str | None
    permissions: Sequence[str]
    created_at: datetime
    updated_at: datetime
    version: int


class RolePage(Outgoing):
    """A page of roles, in the order that was asked for."""

    items: Sequence[RoleRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: Role, permissions: Sequence[str]) -> RoleRead:
    values = {name: getattr(row, name) for name in RoleRead.__struct_fields__ if name != "permissions"}
    return RoleRead(**values, permissions=permissions)
