"""Worker processes that die, block and come back: nobody pays for what another job has done."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from uuid import UUID

import asyncpg
import psutil
import pytest
from litestar import Litestar
from sqlalchemy import select

from app import registry
from app.core.database import SYSTEM, Database
from app.core.settings import Settings
from app.embedded.servers import Urls
from app.queues.cancel import cancel
from app.queues.engine import Engine
from app.queues.enqueue import enqueue_many
from app.queues.job import Kinds
from app.queues.models import AttemptRow, JobRow, State
from app.queues.push import Queues
from tests.queues.fleet import Fleet
from tests.queues.kinds import PLATFORM, SHELL, Act

Effects = Callable[[], Awaitable[Counter[int]]]
ROOT = Path(__file__).parents[2]
LEAVES_S = 8.0
"""The program leaves after 4.5 s at the latest; the rest is the machine's."""
OVER = (State.COMPLETED, State.DEAD, State.CANCELLED)


@pytest.fixture
async def shell_database(app: Litestar, settings: Settings) -> AsyncGenerator[Database, None]:
    database = Database(settings)
    specs = registry.specs() | {SHELL.name: SHELL}
    engine = Engine(app.state.process.queue_redis, settings.queue_prefix, specs)
    queues = Queues(database, specs, Kinds((), frozenset(specs)), engine)
    database.provide(broker=app.state.process.broker, queues=queues)
    yield database
    await database.close()


@pytest.fixture
async def fleet(effects: Effects, servers: Urls, settings: Settings, tmp_path: Path) -> AsyncGenerator[Fleet, None]:
    secrets = {"SECRET_KEY": "k" * 40, "JWT_SECRET": "j" * 40, "ENCRYPTION_KEY": "e" * 40}
    own = {"APP_ENV": "test", "LOG_LEVEL": "error", "CONCURRENCY": "10"}
    fleet = Fleet(tmp_path / "ledger", servers.environment() | secrets | own)
    yield fleet
    await fleet.end()


@pytest.fixture
async def effects(app: Litestar, admin: asyncpg.Connection) -> AsyncGenerator[Effects, None]:
    """How often each job has had its effect, as committed."""
    await admin.execute("CREATE TABLE test_ledger (n integer)")
    await admin.execute("GRANT INSERT ON test_ledger TO teknav_platform")

    async def count() -> Counter[int]:
        return Counter(row["n"] for row in await admin.fetch("SELECT n FROM test_ledger"))

    yield count
    await admin.execute("DROP TABLE test_ledger")


async def ask(database: Database, *jobs: Act) -> list[UUID]:
    async with database.transaction(PLATFORM) as session:
        return await enqueue_many(session, jobs)


async def rows_of(database: Database, ids: Sequence[UUID]) -> list[JobRow]:
    async with database.transaction(SYSTEM) as session:
        rows = {row.id: row for row in await session.scalars(select(JobRow).where(JobRow.id.in_(ids)))}
    return [rows[each] for each in ids]


async def until_over(database: Database, ids: Sequence[UUID], seconds: float = 90) -> list[JobRow]:
    async with asyncio.timeout(seconds):
        while True:
            rows = await rows_of(database, ids)
            if all(row.state in OVER for row in rows):
                return rows
            await asyncio.sleep(0.1)


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.trap(7)
async def test_poison_kills_itself_and_takes_nobody_along(
    shell_database: Database, fleet: Fleet, effects: Effects
) -> None:
    """Every job in hand of a dying worker is a suspect; each runs alone."""
    ways = {5: "kill", 15: "exit", 25: "fault"}
    ids = await ask(shell_database, *(Act(what=ways.get(n, "note"), n=n) for n in range(40)))
    await fleet.start()
    rows = await until_over(shell_database, ids)
    poison = [rows[n] for n in ways]
    assert [row.state for row in poison] == [State.DEAD] * 3
    assert [row.error_class for row in poison] == ["ProcessDied"] * 3
    told = [row.error_message or "" for row in poison]
    assert "signal 9, SIGKILL" in told[0] and "exit code 3" in told[1] and "signal 11, SIGSEGV" in told[2]
    assert [row.attempts_made for row in poison] == [SHELL.attempts] * 3
    innocent = [row for n, row in enumerate(rows) if n not in ways]
    assert {(row.state, row.attempts_made) for row in innocent} == {(State.COMPLETED, 1)}
    assert await effects() == {n: 1 for n in range(40) if n not in ways}
    assert 1 <= len(fleet.ends) <= 3, "each poison ends a worker once at most"


async def test_a_suspect_that_lets_nothing_stop_it_is_stopped(shell_database: Database, fleet: Fleet) -> None:
    [job] = await ask(shell_database, Act(what="deaf"))
    blocked = await fleet.start(keep=False, TIMEOUT_S="1")
    await until(lambda: fleet.began(0))
    await fleet.start(TIMEOUT_S="1")
    [row] = await until_over(shell_database, [job])
    blocked.kill()
    assert (row.state, row.error_class) == (State.DEAD, "TimeoutError")
    assert row.error_message == "the job took longer than 1 s and did not let itself be stopped"
    assert len(fleet.ends) == 0 or fleet.ends == [-9], "the worker that had the suspect lives"


@pytest.mark.trap(11)
async def test_a_loop_blocked_beyond_its_lock_doubles_no_effect(
    shell_database: Database, fleet: Fleet, effects: Effects
) -> None:
    """The first worker wakes up when another one has its job."""
    [job] = await ask(shell_database, Act(what="block"))
    await fleet.start(TIMEOUT_S="20")
    await until(lambda: fleet.began(0))
    await fleet.start(TIMEOUT_S="20")
    [row] = await until_over(shell_database, [job])
    assert row.state == State.COMPLETED
    assert len(set(fleet.began(0))) == 2, "a copy ran beside the first one"
    assert await effects() == {0: 1}


async def test_a_suspect_is_cancelled_like_any_other(shell_database: Database, fleet: Fleet) -> None:
    [job] = await ask(shell_database, Act(what="hold"))
    first = await fleet.start(keep=False)
    async with asyncio.timeout(30):
        while (await rows_of(shell_database, [job]))[0].state != State.ACTIVE:
            await asyncio.sleep(0.02)
    first.kill()
    await fleet.start()
    await until(lambda: len(fleet.began(0)) == 2)
    async with shell_database.transaction(PLATFORM) as session:
        await cancel(session, (await session.get_one(JobRow, job)), by="owner@example.org")
    [row] = await until_over(shell_database, [job])
    assert (row.state, row.attempts_made) == (State.CANCELLED, 0)
    async with shell_database.transaction(SYSTEM) as session:
        attempts = (await session.scalars(select(AttemptRow).filter_by(job_id=job).order_by(AttemptRow.n))).all()
    assert [attempt.error_class for attempt in attempts] == ["WorkerLost", "Cancelled"]
    [*_, where] = fleet.began(0)
    await until(lambda: not Path(f"/proc/{where}").exists() or "Z" in Path(f"/proc/{where}/stat").read_text())


async def test_killing_a_worker_ends_what_its_quarantine_does(shell_database: Database, fleet: Fleet) -> None:
    await ask(shell_database, Act(what="hold"))
    first = await fleet.start(keep=False)
    await until(lambda: fleet.began(0))
    first.kill()
    second = await fleet.start(keep=False)
    await until(lambda: len(fleet.began(0)) == 2)
    second.kill()
    [*_, where] = fleet.began(0)
    await until(lambda: not Path(f"/proc/{where}").exists() or "Z" in Path(f"/proc/{where}/stat").read_text())


async def test_the_places_of_a_killed_worker_come_back(shell_database: Database, fleet: Fleet) -> None:
    one_at_a_time = '{"running": 1}'
    held, waiting = await ask(shell_database, Act(what="hold", n=0), Act(what="note", n=1))
    first = await fleet.start(keep=False, LIMITS=one_at_a_time)
    await until(lambda: fleet.began(0))
    await fleet.start(LIMITS=one_at_a_time)
    first.kill()
    # The suspect takes the place first; when it is cancelled the other one has it.
    await until(lambda: len(fleet.began(0)) == 2 or fleet.began(1))
    async with shell_database.transaction(PLATFORM) as session:
        await cancel(session, (await session.get_one(JobRow, held)), by="owner@example.org")
    rows = await until_over(shell_database, [held, waiting])
    assert [row.state for row in rows] == [State.CANCELLED, State.COMPLETED]


async def test_a_worker_that_loses_its_template_ends_to_be_started_again(
    shell_database: Database, fleet: Fleet, effects: Effects
) -> None:
    """Without it every suspect would be handed back again and again."""
    first = await fleet.start(keep=False)
    [job] = await ask(shell_database, Act(what="note"))
    await until_over(shell_database, [job])
    [template] = [each for each in psutil.Process(first.pid).children() if os.getsid(each.pid) == each.pid]
    template.kill()
    async with asyncio.timeout(30):
        assert await first.wait() != 0


async def test_sigterm_ends_a_worker_whose_handler_lets_nobody_stop_it_and_loses_no_job(
    shell_database: Database, servers: Urls, settings: Settings, tmp_path: Path
) -> None:
    """The command itself: from the signal on, handing back and leaving are bounded."""
    [job] = await ask(shell_database, Act(what="deaf"))
    ledger = tmp_path / "began"
    secrets = {name.upper(): getattr(settings, name) for name in ("secret_key", "jwt_secret", "encryption_key")}
    own = {"APP_ENV": "test", "PYTHONPATH": str(ROOT), "TEKNAV_DATA_DIR": str(settings.data_dir), "LEDGER": str(ledger)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.queues.programs.command", "worker", "--queues", "test:shell", cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | servers.environment() | secrets | own,
    )  # fmt: skip
    try:
        await until(ledger.exists, 60)
        process.terminate()
        async with asyncio.timeout(LEAVES_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    [row] = await rows_of(shell_database, [job])
    assert (row.state, row.attempts_made, row.worker) == (State.QUEUED, 0, None)
