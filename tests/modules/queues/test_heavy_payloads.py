"""Lists of jobs whose payloads are large cost what lists of small ones do."""

from typing import Any

import pytest
from httpx2 import AsyncClient
from redis.asyncio import Redis
from sqlalchemy import event

from app.core.database import Database, Plane, Scope
from app.queues.enqueue import enqueue_many
from app.queues.push import queues_of
from tests.modules.queues.conftest import Stumble

HEAVY = "x" * 1_000_000


@pytest.mark.trap(16)
async def test_a_list_of_jobs_reads_no_payload(owner: AsyncClient, database: Database, tenant: Any) -> None:
    async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
        await enqueue_many(session, [Stumble(message=HEAVY) for _ in range(25)])
        engine = queues_of(session).engine
    assert engine is not None
    redis: Redis = engine.client
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.append(statement)

    engines = {database.engine(plane).sync_engine for plane in (Plane.PLATFORM, Plane.TENANT)}
    for each in engines:
        event.listen(each, "before_cursor_execute", note)
    await redis.config_resetstat()
    try:
        answer = await owner.get("/api/owner/queues/ai:content/jobs", params={"state": "waiting", "limit": 25})
    finally:
        for each in engines:
            event.remove(each, "before_cursor_execute", note)
    assert len(answer.json()["items"]) == 25
    assert len(answer.content) < 100_000
    assert any("FROM job" in statement for statement in asked)
    assert not [statement for statement in asked if "payload" in statement]
    assert "cmdstat_hgetall" not in await redis.info("commandstats")
