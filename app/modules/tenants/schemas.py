"""Tenants and workspaces on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, convert, field

from app.core.wire import Incoming, Outgoing
from app.modules.tenants.models import Tenant, Workspace

MAX_NAME = 120
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, description="One line", examples=["Harbour Press"])]


class TenantCreate(Incoming):
    """A new tenant; it gets a slug made of its name, and a first workspace."""

    name: Name


class TenantChange(Incoming):
    """What to change; fields that are left out stay as they are. A suspended tenant's tokens are refused."""

    name: Name | UnsetType = UNSET
    status: Literal["active", "suspended"] | UnsetType = UNSET


class WorkspaceCreate(Incoming):
    name: Name


class NameForm(Incoming):
    """The dashboard's form for a new tenant or workspace."""

    name: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


class TenantForm(NameForm):
    """The dashboard's form for an existing tenant."""

    status: Literal["active", "suspended"] = "active"
    version: int | None = None
    """The version that the person was looking at."""

    def change(self) -> TenantChange:
        return TenantChange(name=self.name, status=self.status)


class TenantRead(Outgoing):
    """One tenant. `version` is also its ETag."""

    id: UUID
    name: str
    slug: str
    status: str
    created_at: datetime
    updated_at: datetime
    version: int


class TenantPage(Outgoing):
    """A page of tenants, newest first."""

    items: Sequence[TenantRead]
    next_cursor: str | None
    prev_cursor: str | None


class WorkspaceRead(Outgoing):
    id: UUID
    tenant_id: UUID
    name: str
    slug: str
    created_at: datetime
    updated_at: datetime
    version: int


class WorkspacePage(Outgoing):
    """A page of workspaces, newest first."""

    items: Sequence[WorkspaceRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: Tenant) -> TenantRead:
    return convert(row, TenantRead, from_attributes=True)


def read_workspace(row: Workspace) -> WorkspaceRead:
    return convert(row, WorkspaceRead, from_attributes=True)
