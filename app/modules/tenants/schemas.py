"""Tenants and workspaces on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, convert

from app.core.wire import Incoming, Outgoing
from app.modules.tenants.models import Tenant, Workspace

Name = Annotated[
    str,
    Meta(
        max_length=120,
        pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$(?!\n)",
        description="1 to 120 characters in one line",
        examples=["Harbour Press"],
    ),
]


class TenantCreate(Incoming):
    """A new tenant; it gets a slug made of its name, and a first workspace."""

    name: Name


class TenantChange(Incoming):
    """What to change; fields that are left out stay as they are. A suspended tenant's tokens are refused."""

    name: Name | UnsetType = UNSET
    status: Literal["active", "suspended"] | UnsetType = UNSET


class WorkspaceCreate(Incoming):
    name: Name


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
