"""`ENABLE_QUEUE=false`: the same runner, in the web process, without Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from app.core.database import Database
from app.queues.engine import Engine
from app.queues.enqueue import Queues, enqueue
from app.queues.inline import run_inline
from app.queues.job import Kinds
from app.queues.models import JobRow, State
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
    task = asyncio.create_task(run_inline(own_database, quick_runner))
    try:
        await until_state(good, State.COMPLETED)
        assert (await until_state(bad, State.DEAD)).attempts_made == 3
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert (ledger.notes, ledger.dead) == (["inline"], ["no"])
    assert await engine.client.keys("*") == []
