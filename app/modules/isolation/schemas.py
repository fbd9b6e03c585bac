"""Runs of the isolation suite on the wire."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from msgspec import convert

from app.core.wire import Outgoing
from app.modules.isolation.models import Status

T = TypeVar("T")


class Result(StrEnum):
    """`skipped`: it could not be tried; `found` says why."""

    HELD = "held"
    BREACHED = "breached"
    SKIPPED = "skipped"


class Case(Outgoing):
    """One thing that was tried: `tried` on the table `subject`, as the tenant or login that `context` names."""

    subject: str
    context: str
    tried: str
    expected: str
    found: str
    result: Result


class IsolationRunRead(Outgoing):
    """A run. `gotThrough` counts what should have been refused and was not."""

    id: UUID
    status: Status
    asked_by: str
    teknav: str
    tried: int
    got_through: int
    skipped: int
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class IsolationRunDetail(IsolationRunRead):
    """A run with all that it tried."""

    cases: Sequence[Case]


class IsolationRunPage(Outgoing):
    """A page of the list, newest first. A cursor is null where there is nothing on that side."""

    items: Sequence[IsolationRunRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(found: Any, shape: type[T]) -> T:
    return convert(found, shape, from_attributes=True)
