"""Approvals on the wire."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct, convert, field

from app.core.wire import Incoming, Outgoing
from app.modules.approvals.models import Approval, ApprovalDecision, Status

Decision = Literal["approve", "reject"]
Comment = Annotated[str, Meta(max_length=1000)]


class Question(Struct, frozen=True, kw_only=True):
    """What is asked. `link` is where the thing stands that asks, under the dashboard's prefix."""

    title: str
    note: str = ""
    origin: str
    link: str
    tenant_id: UUID
    requested_by: str
    self_approval: bool = False
    needed: int = 1
    lasts: timedelta


class DecisionCreate(Incoming):
    """What somebody says to it."""

    decision: Decision
    comment: Comment = ""


class DecisionForm(DecisionCreate):
    """The same from a page."""

    csrf_token: str = field(name="_csrf_token", default="")


class DecisionRead(Outgoing):
    """What one person said, and when."""

    label: str
    decision: Decision
    comment: str
    created_at: datetime


class ApprovalRead(Outgoing):
    """One question. It is approved when `needed` people have approved, and rejected by the first who rejects."""

    id: UUID
    tenant_id: UUID
    title: str
    note: str
    origin: str
    status: Status
    needed: int
    self_approval: bool
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    version: int


class ApprovalDetail(ApprovalRead):
    """With what was said so far, the oldest first."""

    decisions: list[DecisionRead]


class ApprovalPage(Outgoing):
    """A page of approvals, newest first."""

    items: Sequence[ApprovalRead]
    next_cursor: str | None
    prev_cursor: str | None


def item(row: Approval) -> ApprovalRead:
    return convert(row, ApprovalRead, from_attributes=True)


def read(row: Approval, said: Sequence[ApprovalDecision]) -> ApprovalDetail:
    decisions = [convert(one, DecisionRead, from_attributes=True) for one in said]
    fields = {name: getattr(row, name) for name in ApprovalRead.__struct_fields__}
    return ApprovalDetail(**fields, decisions=decisions)
