"""`ENABLE_QUEUE=false`: the same runner, in the web process, without Redis."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID

from sqlalchemy import update

from app.core.database import Database
from app.core.ids import new_id
from app.queues import control
from app.queues.engine import Engine
from app.queues.enqueue import enqueue
from app.queues.inline import drain
from app.queues.job import Kinds
from app.queues.leader import Leader
from app.queues.loops import Loop, Loops
from app.queues.models import JobRow, State
from app.queues.push import Queues
from app.queues.runner import Runner
from tests.queues.conftest import Ledger
from tests.queues.kinds import PLATFORM, QUICK, Fail, Note


async def test_jobs_run_with_row_and_attempts_and_nothing_is_pushed(
    own_database: Database,
    engine: Engine,
    quick_runner: Runner,
    kinds: Kinds,
    until_state: Callable[..., Awaitable[JobRow]],
    ledger: Ledger,
) -> None:
    own_database.provide(queues=Queues(own_database, {QUICK.name: QUICK}, kinds, None))
    async with own_database.transaction(PLATFORM) as session:
        good, bad = await enqueue(session, Note(text="inline")), await enqueue(session, Fail(message="no"))
    inline = Loop("inline", 0.05, functools.partial(drain, own_database, quick_runner))
    task = asyncio.create_task(Loops(Leader(own_database, quick_runner.worker), [inline]).run())
    try:
        await until_state(good, State.COMPLETED)
        assert (await until_state(bad, State.DEAD)).attempts_made == 3
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert (ledger.notes, ledger.dead) == (["inline"], ["no"])
    assert await engine.client.keys(f"{engine.prefix}:{QUICK.engine_name}:*") == []


async def test_a_paused_queue_waits_and_what_a_dead_process_left_behind_runs(
    own_database: Database, quick_runner: Runner, row_of: Callable[[UUID], Awaitable[JobRow]], ledger: Ledger
) -> None:
    async with own_database.transaction(PLATFORM) as session:
        left, held = await enqueue(session, Note(text="left")), await enqueue(session, Note(text="held"))
        await session.execute(update(JobRow).where(JobRow.id == left).values(state=State.ACTIVE, worker=new_id()))
    assert await drain(own_database, quick_runner) == 2
    async with own_database.transaction(PLATFORM) as session:
        await control.pause(session, QUICK.name, by="owner", reason=None)
        held = await enqueue(session, Note(text="later"))
    assert await drain(own_database, quick_runner) == 0
    assert (await row_of(held)).attempt == 0
    assert sorted(ledger.notes) == ["held", "left"]
