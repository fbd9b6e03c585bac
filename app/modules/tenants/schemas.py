"""Tenants and workspaces on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, convert, field

from app.core.logging import redact
from app.core.queries import Ids
from app.core.wire import Incoming, Outgoing, Ticked
from app.modules.tenants.models import Tenant, TenantRecord, Workspace

MAX_NAME, MAX_REASON = 120, 500
Reason = Annotated[str, Meta(max_length=MAX_REASON, description="For people, and the audit log")]
Status = Literal["active", "suspended", "deleting"]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, description="One line", examples=["Harbour Press"])]


class TenantCreate(Incoming):
    """A new tenant; it gets a slug made of its name, and a first workspace."""

    name: Name


class TenantChange(Incoming):
    """What to change; fields that are left out stay as they are. A suspended tenant's tokens are refused.

    `reason` is kept as long as the tenant is suspended, and stands in the audit log.
    """

    name: Name | UnsetType = UNSET
    status: Literal["active", "suspended"] | UnsetType = UNSET
    reason: Reason | None = None
    timezone: Annotated[str, Meta(description="When its days begin", examples=["Europe/Berlin"])] | UnsetType = UNSET


class Suspensions(Incoming):
    """Which tenants to suspend: all of them or, where one is being deleted, none."""

    ids: Ids
    reason: Reason | None = None


class Resumptions(Incoming):
    """Which suspended tenants go on: all of them or, where one is being deleted, none."""

    ids: Ids


class TenantsChanged(Outgoing):
    """How many tenants were changed; what is so already is not counted."""

    changed: int


class Deletion(Incoming):
    """Why a tenant is deleted, for the audit log."""

    reason: Reason | None = None


class QuotaChange(Incoming):
    """The most that a tenant may use of something, by name: `{"articles": 1000, "members": null}`; null: no limit."""

    quotas: Annotated[dict[str, int | None], Meta(min_length=1, max_length=20, examples=[{"articles": 1000}])]


class QuotaRead(Outgoing):
    """How much a tenant uses of something, and how much it may. `used` is null while nobody knows."""

    name: str
    label: str
    used: int | None
    most: int | None


class QuotaList(Outgoing):
    items: Sequence[QuotaRead]


class WorkspaceCreate(Incoming):
    name: Name


class WorkspaceChange(Incoming):
    """Another name; the slug stays, since addresses use it."""

    name: Name


class NameForm(Incoming):
    """The dashboard's form for a new tenant or workspace."""

    name: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


class SuspensionsForm(Ticked):
    """The dashboard's form for that."""

    reason: str = ""


class TenantForm(Incoming):
    """The dashboard's form for an existing tenant; one without a name leaves it."""

    name: str | None = None
    status: Literal["", "active", "suspended"] = ""
    """Empty: it stays what it is."""
    reason: str = ""
    timezone: str = ""
    version: int | None = None
    """The version that the person was looking at."""
    csrf_token: str = field(name="_csrf_token", default="")

    def change(self) -> TenantChange:
        change = TenantChange(reason=self.reason or None)
        if self.name is not None:
            change.name = self.name
        if self.status:
            change.status = self.status
        if self.timezone:
            change.timezone = self.timezone
        return change


class WorkspaceForm(NameForm):
    """The dashboard's form for an existing workspace."""

    version: int | None = None


class ReasonForm(Incoming):
    reason: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


class TenantRead(Outgoing):
    """One tenant. `version` is also its ETag. One that is `deleting` will be erased at `eraseAt`."""

    id: UUID
    name: str
    slug: str
    status: Status
    reason: str | None
    erase_at: datetime | None
    timezone: str
    created_at: datetime
    updated_at: datetime
    version: int


class TenantPage(Outgoing):
    """A page of tenants, in the order that was asked for."""

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
    """A page of workspaces, in the order that was asked for."""

    items: Sequence[WorkspaceRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: Tenant) -> TenantRead:
    return convert(row, TenantRead, from_attributes=True)


def read_workspace(row: Workspace) -> WorkspaceRead:
    return convert(row, WorkspaceRead, from_attributes=True)


class RecordRead(Outgoing):
    """A row of a tenant in its export: of which table, with its columns as they are called there."""

    table: str
    id: UUID
    row: dict[str, Any]


def read_record(record: TenantRecord) -> RecordRead:
    return RecordRead(table=record.table, id=record.id, row=redact(record.row))
