"""Many rows to settle, where one that cannot be must not hold up those behind it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar
from uuid import UUID

import structlog
from redis.exceptions import RedisError, ResponseError

from app.queues.failure import plain, said
from app.queues.group_commit import is_away

log = structlog.get_logger()


class Named(Protocol):
    """A job, as far as a log needs it."""

    @property
    def id(self) -> UUID: ...
    @property
    def queue(self) -> str: ...


AnyRow = TypeVar("AnyRow", bound=Named)


async def one_by_one(rows: Iterable[AnyRow], settle: Callable[[AnyRow], Awaitable[object]]) -> None:
    """Settle each row, and log those that cannot be.

    Raises:
        RuntimeError: after the last row, saying how many were not settled.
        Exception: at once, what says that Redis or PostgreSQL is away.
    """
    failed = 0
    for row in rows:
        try:
            await settle(row)
        except Exception as error:
            if is_elsewhere(error):
                raise
            failed += 1
            log.warning("job.not_reconciled", job_id=str(row.id), queue=row.queue, error=plain(said(error)))
    if failed:
        raise RuntimeError(f"{failed} jobs could not be brought in step")


def is_elsewhere(error: Exception) -> bool:
    """Whether it is not about this job: Redis or PostgreSQL is away, so that others would fare no better.

    What Redis says of a single command, such as that a key holds something else, is a plain ResponseError.
    """
    return (isinstance(error, RedisError) and type(error) is not ResponseError) or is_away(error)
