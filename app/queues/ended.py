"""How many jobs ended, by queue and outcome: counted in the transaction in which they do, and kept for ever."""

from collections import Counter
from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

from sqlalchemy import BigInteger, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database
from app.core.ids import PLATFORM_TENANT
from app.queues.models import EndedRow, Outcome

# One statement, so that whoever reads meanwhile finds each job in one place. A second leader finds nothing to take.
_GATHER = text("""
WITH taken AS (
    DELETE FROM job_ended
    WHERE EXISTS (
        SELECT FROM job_ended GROUP BY queue, outcome HAVING count(*) > 1 OR bool_or(tenant_id <> :platform)
    )
    RETURNING queue, outcome, jobs
)
INSERT INTO job_ended (tenant_id, queue, outcome, jobs)
SELECT :platform, queue, outcome, sum(jobs) FROM taken GROUP BY queue, outcome
""")


class _Job(Protocol):
    @property
    def tenant_id(self) -> UUID: ...
    @property
    def queue(self) -> str: ...


async def count_ended(session: AsyncSession, jobs: Iterable[_Job], outcome: Outcome) -> None:
    """In the transaction in which they end. `batch_sql` counts what it completes itself."""
    counts = Counter((job.tenant_id, job.queue) for job in jobs)
    rows = [
        {"tenant_id": tenant, "queue": queue, "outcome": outcome, "jobs": jobs}
        for (tenant, queue), jobs in sorted(counts.items())
    ]
    if rows:
        await session.execute(insert(EndedRow), rows)


async def gather_ended(database: Database) -> None:
    """One row of those of a queue and an outcome."""
    async with database.transaction(SYSTEM) as session:
        await session.execute(_GATHER, {"platform": PLATFORM_TENANT})


async def ended(session: AsyncSession) -> dict[tuple[str, Outcome], int]:
    """By queue and outcome, since these are counted. For the platform."""
    jobs = func.sum(EndedRow.jobs).cast(BigInteger)
    rows = await session.execute(select(EndedRow.queue, EndedRow.outcome, jobs).group_by("queue", "outcome"))
    return {(queue, Outcome(outcome)): jobs for queue, outcome, jobs in rows}
