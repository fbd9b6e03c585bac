"""Jobs in every state, and jobs that really failed."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app import registry
from app.core.database import SYSTEM, Database, Plane, Scope
from app.core.ids import new_id
from app.queues.enqueue import enqueue
from app.queues.inline import drain
from app.queues.job import Job, Kinds, processor
from app.queues.models import JobRow, State
from app.queues.runner import Runner
from app.queues.work import Work


class Stumble(Job, kind="stumble", queue="ai:content"):
    """Fails as often as it is tried."""

    message: str
    api_key: str = "k-123"


@processor(Stumble)
async def stumble(work: Work, payload: Stumble) -> None:
    work.log(f"try {work.attempt}")
    raise ConnectionError(payload.message)


MakeJob = Callable[..., Awaitable[UUID]]


@pytest.fixture
def make_job(database: Database, tenant: Any) -> MakeJob:
    """A row of the record as it stands in some state, with nothing in Redis."""

    async def make(state: State, *, later: bool = False, **values: Any) -> UUID:
        over = state in (State.COMPLETED, State.DEAD, State.CANCELLED, State.REMOVED)
        fixed: dict[str, Any] = {
            "id": new_id(),
            "tenant_id": tenant.id,
            "queue": "ai:content",
            "kind": "stumble",
            "payload": {"message": "x"},
            "max_attempts": 3,
            "state": state,
            "delayed": later,
            "run_at": datetime.now(UTC) + timedelta(hours=1 if later else 0),
            "finished_at": datetime.now(UTC) if over else None,
        }
        row = JobRow(**fixed | values)
        async with database.transaction(SYSTEM) as session:
            session.add(row)
        return row.id

    return make


@pytest.fixture
def dead_job(database: Database, tenant: Any) -> Callable[..., Awaitable[UUID]]:
    """A job that was enqueued, tried three times, and is a dead letter now."""
    specs = registry.specs()
    processors = [one for module in registry.MODULES for one in module.processors]
    runner = Runner(database, Kinds((*processors, stumble), frozenset(specs)), specs, new_id())

    async def make(message: str = "the provider cannot be reached") -> UUID:
        async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
            job_id = await enqueue(session, Stumble(message=message))
        await drain(database, runner, until=datetime.now(UTC) + timedelta(days=1))
        return job_id

    return make
