"""What the worker runs: the suite, between a transaction that begins it and one that keeps what it found."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database
from app.core.policy import SYSTEM_ACTOR
from app.modules.isolation.jobs import TryIsolation
from app.modules.isolation.repository import examine
from app.modules.isolation.service import IsolationService
from app.queues.job import processor
from app.queues.work import Work


@processor(TryIsolation, timeout_s=600)
async def try_isolation(work: Work, job: TryIsolation) -> None:
    async with work.transaction(f"begin {work.this_try}") as session:
        assert session is not None
        await IsolationService(session, SYSTEM_ACTOR).begin(job.run_id)
    cases = await examine(work.resource(Database))
    async with work.transaction("keep") as session:
        if session is not None:
            await IsolationService(session, SYSTEM_ACTOR).finish(job.run_id, cases)
            await work.complete(session, {"tried": len(cases)})


@try_isolation.dead
async def on_dead(session: AsyncSession, job: TryIsolation, error: str) -> None:
    await IsolationService(session, SYSTEM_ACTOR).give_up(job.run_id, error)
