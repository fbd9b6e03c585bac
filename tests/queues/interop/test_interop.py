"""Programs on Node share our queues: BullMQ's own library adds and runs jobs, and Bull Board shows them."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from httpx2 import AsyncClient
from sqlalchemy import select, text, update

from app.core.database import SYSTEM, Database
from app.core.ids import PLATFORM_TENANT
from app.core.settings import Settings
from app.queues import control
from app.queues.engine import Engine
from app.queues.enqueue import enqueue
from app.queues.models import JobRow, KeyRow, State
from app.queues.relay import Reconciler
from app.queues.runner import Runner
from app.queues.worker import WorkerProcess
from tests.queues.conftest import Ledger
from tests.queues.interop import fetch
from tests.queues.kinds import PLATFORM, QUICK, Fail, Note

LONG_AGO = text("now() - interval '1 minute'")
PATIENCE_S = 15
Until = Callable[..., Awaitable[JobRow]]
RowOf = Callable[[UUID], Awaitable[JobRow]]


class Said:
    """The lines of a Node program."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await self._process.stdout.readline()
            if not line:
                pytest.fail(f"the Node program ended: {(await self._process.stderr.read()).decode()[-2000:]}")
        said: dict[str, Any] = json.loads(line)
        return said


Node = Callable[..., Any]


@pytest.fixture
def node(settings: Settings) -> Node:
    """Runs `program.mjs`: `async with node("work", "test-quick", "complete") as said`."""
    if not fetch.found():
        reason = "the npm packages are not installed: run `make interop`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    @asynccontextmanager
    async def run(role: str, queues: str, *rest: str) -> AsyncGenerator[Said, None]:
        process = await asyncio.create_subprocess_exec(
            str(fetch.NODE),
            str(fetch.HERE / "program.mjs"),
            *(role, settings.queue_prefix, queues, *rest),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "REDIS_URL": settings.redis_url},
        )
        try:
            yield Said(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    return run


@pytest.fixture
def reconciler(own_database: Database, engine: Engine, quick_runner: Runner) -> Reconciler:
    return Reconciler(own_database, engine, quick_runner)


async def ask(database: Database, job: Note | Fail) -> UUID:
    async with database.transaction(PLATFORM) as session:
        return await enqueue(session, job)


async def untouched_for_long(database: Database, job_id: UUID) -> None:
    """The reconciler leaves rows alone that have just moved. That the job was pushed is noted by nobody's leave."""
    async with asyncio.timeout(PATIENCE_S):
        while await _state(database, job_id) == State.PENDING:
            await asyncio.sleep(0.02)
    async with database.transaction(SYSTEM) as session:
        await session.execute(update(JobRow).where(JobRow.id == job_id).values(updated_at=LONG_AGO))


async def _state(database: Database, job_id: UUID) -> str:
    async with database.transaction(SYSTEM) as session:
        return (await session.scalars(select(JobRow.state).where(JobRow.id == job_id))).one()


async def test_a_node_worker_runs_our_job_and_the_reconciler_closes_its_row(
    node: Node, own_database: Database, reconciler: Reconciler, row_of: RowOf, ledger: Ledger
) -> None:
    async with node("work", QUICK.engine_name, "complete") as said:
        assert await said.next() == {"ready": True}
        job_id = await ask(own_database, Note(text="for node"))
        assert await said.next() == {"completed": str(job_id)}
    await untouched_for_long(own_database, job_id)
    await reconciler.sweep()
    assert (await row_of(job_id)).state == State.COMPLETED
    assert ledger.notes == []


async def test_our_job_that_fails_on_node_as_often_as_it_may_becomes_a_dead_letter(
    node: Node, own_database: Database, engine: Engine, reconciler: Reconciler, row_of: RowOf, ledger: Ledger
) -> None:
    async with node("work", QUICK.engine_name, "fail") as said:
        assert await said.next() == {"ready": True}
        job_id = await ask(own_database, Fail(message="unused"))
        ends = [await said.next() for _ in range(QUICK.attempts)]
    assert [end["attempts"] for end in ends] == [1, 2, 3]
    await untouched_for_long(own_database, job_id)
    await reconciler.sweep()
    row = await row_of(job_id)
    assert (row.state, row.error_message) == (State.DEAD, "Node could not do it")
    assert ledger.dead == ["Node could not do it"]
    assert await engine.places([row]) == ["dead"], "Bull Board and Node find it among the dead letters"
    assert not await engine.client.exists(engine.key(QUICK.engine_name, row.engine_id)), "and nowhere else"


async def test_our_worker_runs_a_job_that_node_has_added_and_gives_it_one_row(
    node: Node, worker: WorkerProcess, own_database: Database, until_state: Until, ledger: Ledger
) -> None:
    async with node("add", QUICK.engine_name, "note", json.dumps({"text": "from node"})) as said:
        added = await said.next()

    async def adopted() -> KeyRow:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with own_database.transaction(SYSTEM) as session:
                    key = await session.scalar(
                        select(KeyRow).filter_by(key=f"bullmq:{added['id']}:{added['timestamp']}")
                    )
                if key is not None:
                    return key
                await asyncio.sleep(0.02)

    key = await adopted()
    row = await until_state(key.job_id, State.COMPLETED)
    assert (row.tenant_id, row.engine_id, row.payload) == (PLATFORM_TENANT, added["id"], {"text": "from node"})
    assert ledger.notes == ["from node"]


async def test_bull_board_opens_our_queues_and_lists_our_jobs_and_dead_letters(
    node: Node, worker: WorkerProcess, own_database: Database, until_state: Until
) -> None:
    dead = await ask(own_database, Fail(message="boom"))
    await until_state(dead, State.DEAD)
    async with own_database.transaction(PLATFORM) as session:
        await control.pause(session, QUICK.name, by="somebody", reason=None)
    waiting = await ask(own_database, Note(text="shown"))
    await until_state(waiting, State.QUEUED)
    names = (QUICK.engine_name, QUICK.dead_letters_engine_name)
    async with node("board", ",".join(names)) as said:
        port = (await said.next())["port"]
        async with AsyncClient(base_url=f"http://127.0.0.1:{port}") as board:
            shown = {name: await _queue(board, name) for name in names}
    ours, letters = shown[QUICK.engine_name], shown[QUICK.dead_letters_engine_name]
    assert ours["isPaused"]
    assert [(job["id"], job["name"], job["data"]) for job in ours["jobs"]] == [
        (str(waiting), "note", {"text": "shown"})
    ]
    letter = letters["jobs"][0]["data"]
    assert (letters["jobs"][0]["id"], letter["originalQueue"], letter["lastError"]) == (str(dead), QUICK.name, "boom")


async def _queue(board: AsyncClient, name: str) -> dict[str, Any]:
    """A queue as Bull Board's page gets it, with its jobs."""
    answer = await board.get("/api/queues", params={"activeQueue": name, "status": "latest"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = next(queue for queue in answer.json()["queues"] if queue["name"] == name)
    return found
