"""Kinds of job that only the tests know."""

from typing import Any

from app.core.database import Plane, Scope
from app.queues.job import Job
from app.queues.spec import Backoff, QueueSpec

QUICK = QueueSpec("test:quick", attempts=3, backoff=Backoff("exponential", 0.05), timeout_s=1)
SHELL = QueueSpec("test:shell", attempts=2, backoff=Backoff("fixed", 0.05), timeout_s=4)
PLATFORM = Scope(Plane.PLATFORM)


class Note(Job, kind="note", queue="test:quick"):
    """Writes one line into a ledger that has no unique key."""

    text: str


class Free(Job, kind="free", queue="test:quick"):
    """Whatever a payload may hold."""

    what: Any


class Fail(Job, kind="fail", queue="test:quick"):
    message: str


class Sin(Job, kind="sin", queue="test:quick"):
    what: str


class Act(Job, kind="act", queue="test:shell"):
    """Does what it is told in a worker process of its own, see `programs/worker.py`."""

    what: str
    n: int = 0


class Weigh(Job, kind="weigh", queue="test:quick"):
    weight: float
