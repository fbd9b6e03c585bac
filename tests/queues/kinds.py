"""Kinds of job that only the tests know."""

from uuid import UUID

from app.core.database import Database, Plane, Scope
from app.core.ids import new_id
from app.queues.batch import Batch
from app.queues.job import Job
from app.queues.models import JobRow
from app.queues.spec import Backoff, QueueSpec

QUICK = QueueSpec("test:quick", attempts=3, backoff=Backoff("exponential", 0.05), timeout_s=0.5)
PLATFORM = Scope(Plane.PLATFORM)


class Note(Job, kind="note", queue="test:quick"):
    """Writes one line into a ledger that has no unique key."""

    text: str


class Fail(Job, kind="fail", queue="test:quick"):
    message: str


class Sin(Job, kind="sin", queue="test:quick"):
    what: str


async def begun(database: Database, job_id: UUID, run: int = 0) -> JobRow:
    """The job, active in the hand of a worker that is nobody."""
    claim = await Batch(database, new_id()).open(job_id, run, first=False)
    assert claim is not None
    return claim.row
