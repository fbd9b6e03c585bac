"""What one request set going: modules name sources of steps, and the page of a trace puts them on one line of time."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import Permission

MOST_STEPS = 500
"""A source answers with so many at most, the oldest."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened under a correlation id. An end of None is a moment, or what goes on while `open`.

    `path` is where it is shown, under the dashboard's prefix; `status` is a word that a badge knows.
    """

    kind: str
    label: str
    status: str
    began_at: datetime
    ended_at: datetime | None = None
    open: bool = False
    note: str | None = None
    path: str | None = None
    tenant_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class TraceSource:
    """`find(session, correlation id)` answers with a module's steps; whoever lacks the permission is told none.

    `topic` is signalled when there are new ones.
    """

    find: Callable[[AsyncSession, UUID], Awaitable[Sequence[Step]]]
    permission: Permission
    topic: str
