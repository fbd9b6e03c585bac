"""What BullMQ and Redis do that one would not expect, and that TekNav is not hurt by it. See docs/traps.md."""

import ast
import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import select, update

from app import checks, queues, registry
from app.core.database import SYSTEM, Database
from app.core.settings import Settings, SettingsError
from app.queues import control
from app.queues.engine import Engine
from app.queues.enqueue import enqueue
from app.queues.models import JobRow, State, WorkerRow, engine_id_of
from app.queues.runner import Runner
from app.queues.worker import WorkerProcess
from app.redis.service import RedisService
from tests.queues.kinds import PLATFORM, QUICK, Note

Until = Callable[..., Awaitable[JobRow]]
AVOIDED = {
    "limitUntil", "rateLimit",  # the limiter stalls
    "retryJobs", "getJobs", "getWaiting", "getActive", "getCompleted", "getFailed", "getDelayed",
    "clean", "obliterate", "getWorkers",
}  # fmt: skip
LISTENING = {"on", "once"}


@pytest.fixture
async def redis(settings: Settings) -> Any:
    client = Redis.from_url(settings.redis_url, decode_responses=True)
    yield client
    await client.aclose()


@pytest.mark.trap(14, 19)
async def test_completed_jobs_do_not_fill_redis(
    own_database: Database, engine: Engine, quick_runner: Runner, worker_redis: Redis, until_state: Until
) -> None:
    few = dataclasses.replace(QUICK, completed_kept=2)
    process = WorkerProcess(own_database, engine, quick_runner, [few], concurrency=5, client=worker_redis)
    stop = asyncio.Event()
    task = asyncio.create_task(process.run(stop))
    for number in range(6):
        async with own_database.transaction(PLATFORM) as session:
            job_id = await enqueue(session, Note(text=str(number)))
        await until_state(job_id, State.COMPLETED)
    stop.set()
    await task
    kept = await engine.client.zcard(engine.key(QUICK.engine_name, "completed"))
    hashes = [key async for key in engine.client.scan_iter(engine.key(QUICK.engine_name, "0*"))]
    assert (kept, len(hashes)) == (2, 2)


@pytest.mark.trap(13)
async def test_a_replayed_letter_keeps_its_priority_and_has_all_its_attempts(
    own_database: Database, engine: Engine, row_of: Callable[[UUID], Awaitable[JobRow]]
) -> None:
    async with own_database.transaction(PLATFORM) as session:
        job_id = await enqueue(session, Note(text="urgent"), priority=3)
    async with own_database.transaction(SYSTEM) as session:
        values = {"state": State.DEAD, "attempts_made": 3}
        await session.execute(update(JobRow).where(JobRow.id == job_id).values(values))
    async with own_database.transaction(PLATFORM) as session:
        row = await session.get(JobRow, job_id)
        assert row is not None
        await control.replay(session, row)
    again = engine_id_of(job_id, 1)
    assert await engine.client.zscore(engine.key(QUICK.engine_name, "prioritized"), again) is not None
    assert await engine.field(await row_of(job_id), "atm") in (None, "0")


@pytest.mark.trap(20)
def test_no_name_in_redis_has_a_colon_of_its_own() -> None:
    specs = registry.specs().values()
    names = [name for spec in specs for name in (spec.engine_name, spec.dead_letters_engine_name)]
    ids = [engine_id_of(UUID(int=1), run) for run in (0, 7)]
    assert len(names) >= 12
    assert not [text for text in (*names, *ids) if ":" in text]


@pytest.mark.trap(15)
async def test_a_worker_shows_itself_once(worker: WorkerProcess, own_database: Database, until_state: Until) -> None:
    async with own_database.transaction(PLATFORM) as session:
        job_id = await enqueue(session, Note(text="x"))
    await until_state(job_id, State.COMPLETED)
    async with own_database.transaction(SYSTEM) as session:
        shown = (await session.scalars(select(WorkerRow))).all()
    assert [row.queues for row in shown] == [[QUICK.name]]


@pytest.mark.trap(18)
async def test_a_redis_that_may_evict_is_refused(redis: Redis, own_database: Database, settings: Settings) -> None:
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(SettingsError, match="allkeys-lru, which drops jobs"):
            await checks.refuse_unsafe(own_database, redis, settings)
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")
    await checks.refuse_unsafe(own_database, redis, settings)


@pytest.mark.trap(26)
async def test_deleting_by_pattern_blocks_nobody(redis: Redis, settings: Settings) -> None:
    service = RedisService(settings)
    try:
        for number in range(20):
            await service.set(settings.key("traps", "many", str(number)), "x", ttl_s=60)
        await redis.config_resetstat()
        assert await service.delete_by_pattern(settings.key("traps", "many", "*")) == 20
        stats = await redis.info("commandstats")
    finally:
        await service.close()
    assert {"cmdstat_scan", "cmdstat_unlink"} <= set(stats)
    assert not {"cmdstat_keys", "cmdstat_del"} & set(stats)


@pytest.mark.trap(4, 5, 14, 16)
def test_calls_of_bullmq_that_do_other_than_they_say_are_not_made() -> None:
    used: dict[str, str] = {}
    for path in Path(queues.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", None)
            listens = isinstance(node, ast.Attribute) and node.attr in LISTENING
            if listens or (isinstance(name, str) and name in AVOIDED):
                used[name] = path.name
    assert used == {}
