"""UUIDv7 identifiers: sorted by time, so they are both the primary key and the paging order."""

import time
from datetime import UTC, datetime
from uuid import UUID

import uuid_utils.compat

PLATFORM_TENANT = UUID("00000000-0000-7000-8000-000000000000")
"""The tenant that carries the platform's own jobs and audit rows. Never listed, has no quota."""

_CORRECT_ABOVE_S = 0.5
_offset_s = 0.0


def new_id() -> UUID:
    """A UUIDv7 of the application's clock, corrected when that clock is far from PostgreSQL's.

    Partitions are months of the id, so a clock that is hours wrong would file rows under the wrong month.
    """
    if abs(_offset_s) <= _CORRECT_ABOVE_S:
        return uuid_utils.compat.uuid7()
    now = time.time() + _offset_s
    return uuid_utils.compat.uuid7(nanoseconds=int(now * 1e9))


def set_clock_offset(seconds: float) -> None:
    """Tell how far PostgreSQL's clock is ahead of this process, in seconds."""
    global _offset_s
    _offset_s = seconds


def created(id_: UUID) -> datetime:
    """The moment that a UUIDv7 carries, to the millisecond, in UTC."""
    return datetime.fromtimestamp((id_.int >> 80) / 1000, UTC)


def floor_id(moment: datetime) -> UUID:
    """The smallest UUID of a moment: the bound for `id >= …` in time filters and month partitions."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
