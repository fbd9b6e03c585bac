"""How many jobs ended is exact: over several workers, however they end, and after the rows were put together."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select

from app.core.database import SYSTEM, Database, Plane, Scope
from app.core.ids import new_id
from app.core.settings import Settings
from app.queues import control, trash
from app.queues.cancel import cancel
from app.queues.ended import ended, gather_ended
from app.queues.engine import Engine
from app.queues.enqueue import enqueue
from app.queues.job import Kinds
from app.queues.models import EndedRow, JobRow, Outcome, State
from app.queues.runner import Runner
from app.queues.worker import WorkerProcess
from app.redis.connection import patient
from tests.conftest import Made
from tests.queues.kinds import PLATFORM, QUICK, Fail, Note, Sin

MANY = 60


async def counted(database: Database) -> dict[Outcome, int]:
    async with database.transaction(PLATFORM) as session:
        return {outcome: jobs for (queue, outcome), jobs in (await ended(session)).items() if queue == QUICK.name}


@pytest.mark.promise("S4-42")
async def test_jobs_are_counted_as_they_end_by_two_workers_and_by_people(
    worker: WorkerProcess,
    own_database: Database,
    engine: Engine,
    kinds: Kinds,
    tenant: Made,
    settings: Settings,
    until_state: Callable[..., Awaitable[JobRow]],
    row_of: Callable[[UUID], Awaitable[JobRow]],
) -> None:
    client = patient(settings.redis_url)
    runner = Runner(own_database, kinds, {QUICK.name: QUICK}, new_id())
    other = WorkerProcess(own_database, engine, runner, [QUICK], concurrency=5, client=client)
    stop = asyncio.Event()
    task = asyncio.create_task(other.run(stop))

    async def ask(job: Note | Fail | Sin, scope: Scope = PLATFORM) -> UUID:
        async with own_database.transaction(scope) as session:
            return await enqueue(session, job)

    # Some end in their own transaction, some in a group's, of a tenant and of the platform; counts are put together
    # while they do.
    of_tenant = Scope(Plane.TENANT, tenant.id)
    asked = [await ask(Note(text=str(n)), of_tenant if n % 2 else PLATFORM) for n in range(MANY)]
    asked += [await ask(Sin(what="nothing")) for _ in range(MANY)]
    dead = [await ask(Fail(message="no")) for _ in range(3)]
    for job_id in asked:
        await until_state(job_id, State.COMPLETED)
        await gather_ended(own_database)
    for job_id in dead:
        await until_state(job_id, State.DEAD)
    stop.set()
    await task
    await client.aclose(close_connection_pool=True)
    # Each attempt that ended and was not a job's last has failed; on a busy machine some take too long, too.
    async with own_database.transaction(PLATFORM) as session:
        attempts = int(await session.scalar(select(func.sum(JobRow.attempts_made))) or 0)
    wanted = {Outcome.COMPLETED: 2 * MANY, Outcome.DEAD: 3, Outcome.FAILED: attempts - 2 * MANY - 3}
    assert wanted[Outcome.FAILED] >= 3 * (QUICK.attempts - 1)
    assert await counted(own_database) == wanted

    # What was counted as dead is not counted again when it is removed, and what is brought back ends anew.
    async with own_database.transaction(PLATFORM) as session:
        await control.remove(session, await session.get_one(JobRow, dead[0]))
    assert await counted(own_database) == wanted
    async with own_database.transaction(PLATFORM) as session:
        await control.pause(session, QUICK.name, by="test", reason=None)
    waiting = [await ask(Note(text="never")) for _ in range(2)]
    async with own_database.transaction(PLATFORM) as session:
        await cancel(session, await session.get_one(JobRow, waiting[0]), by="test")
    for act in (control.remove, trash.restore, control.remove):
        async with own_database.transaction(PLATFORM) as session:
            await act(session, await session.get_one(JobRow, waiting[1]))
    wanted |= {Outcome.CANCELLED: 1, Outcome.REMOVED: 2}
    assert await counted(own_database) == wanted

    # Neither the end of the jobs' rows nor that of the tenant takes anything away.
    await gather_ended(own_database)
    async with own_database.transaction(PLATFORM) as session:
        await session.execute(delete(JobRow))
        await session.execute(delete(EndedRow).where(EndedRow.tenant_id == tenant.id))
        rows = (await session.execute(select(EndedRow.outcome, func.count()).group_by(EndedRow.outcome))).all()
    assert await counted(own_database) == wanted
    assert Counter(dict(rows)) == Counter(wanted.keys()), "one row of each"


async def test_an_end_that_is_rolled_back_was_none(own_database: Database) -> None:
    async with own_database.transaction(PLATFORM) as session:
        job_id = await enqueue(session, Note(text="x"))
    with pytest.raises(ZeroDivisionError):
        async with own_database.transaction(PLATFORM) as session:
            await cancel(session, await session.get_one(JobRow, job_id), by="test")
            raise ZeroDivisionError
    assert await counted(own_database) == {}
    async with own_database.transaction(SYSTEM) as session:
        assert (await session.scalars(select(EndedRow))).all() == []
