"""Many rows to settle, where one that cannot be must not hold up those behind it."""

from collections.abc import Awaitable, Callable, Iterable

import structlog
from redis.exceptions import RedisError

from app.queues.failure import plain, said
from app.queues.group_commit import is_away
from app.queues.models import JobRow

log = structlog.get_logger()


async def one_by_one(rows: Iterable[JobRow], settle: Callable[[JobRow], Awaitable[object]]) -> None:
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
            if isinstance(error, RedisError) or is_away(error):
                raise
            failed += 1
            log.warning("job.not_reconciled", job_id=str(row.id), queue=row.queue, error=plain(said(error)))
    if failed:
        raise RuntimeError(f"{failed} jobs could not be brought in step")
