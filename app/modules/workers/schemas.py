"""Worker processes on the wire."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from app.core.wire import Outgoing
from app.queues.models import Command, WorkerRow

BEATS_WITHIN = timedelta(seconds=30)


class Doing(StrEnum):
    """What a worker process does. A quiet one finishes what it has; a lost one has not told of itself for long."""

    RUNNING = "running"
    QUIET = "quiet"
    STOPPING = "stopping"
    LOST = "lost"


class InHand(Outgoing):
    """A job that the process works on. `since` is when Redis handed it out."""

    id: str
    kind: str | None
    queue: str
    since: datetime


class WorkerRead(Outgoing):
    """A worker process, as its last heartbeat told. `command` is what it is told to do and may not do yet.

    `inHand` holds the first twenty of its `jobs`. `lagMs` is how late its event loop was at worst of late.
    """

    id: UUID
    host: str
    pid: int
    version: str
    queues: Sequence[str]
    state: Doing
    command: Command | None
    leads: bool
    jobs: int
    in_hand: Sequence[InHand]
    lag_ms: float | None
    memory_bytes: int | None
    started_at: datetime
    beat_at: datetime


class WorkerList(Outgoing):
    items: Sequence[WorkerRead]


def doing(row: WorkerRow) -> Doing:
    return Doing(row.state) if row.beat_at > datetime.now(UTC) - BEATS_WITHIN else Doing.LOST


def read(row: WorkerRow) -> WorkerRead:
    computed: dict[str, Any] = {"state": doing(row), "in_hand": [_in_hand(one) for one in row.in_hand]}
    return WorkerRead(
        **computed, **{name: getattr(row, name) for name in WorkerRead.__struct_fields__ if name not in computed}
    )


def _in_hand(one: dict[str, Any]) -> InHand:
    return InHand(**one | {"since": datetime.fromtimestamp(one["since"], UTC)})
