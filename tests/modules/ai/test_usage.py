"""What AI used by day, kind and model stays equal to the sum of its runs, whatever happens to these."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.database import Database, Plane, Scope
from app.core.ids import new_id
from app.modules.ai.models import AiTask
from app.modules.runs.models import AiReport, AiRun
from app.modules.runs.service import RunLog
from app.queues.inline import drain as drain_with
from tests.conftest import Made
from tests.modules.ai import stage
from tests.modules.ai.openai_server import OpenAIServer

Key = tuple[UUID, str, str, str]
TOKENS = {
    "input": "input",
    "cache_read": "cacheRead",
    "cache_write": "cacheWrite",
    "output": "output",
    "reasoning": "reasoning",
}
NUMBERS = ("runs", "failed", *TOKENS, "cost")


def summed(pairs: list[tuple[Key, dict[str, Any]]]) -> dict[Key, dict[str, Any]]:
    """What is nothing but zeros is left out."""
    sums: dict[Key, Counter[str]] = {}
    for key, numbers in pairs:
        sums.setdefault(key, Counter()).update(numbers)
    return {key: {name: found[name] for name in NUMBERS} for key, found in sums.items() if any(found.values())}


async def of_runs(database: Database) -> dict[Key, dict[str, Any]]:
    """The ended runs, added up one by one."""
    kinds = {task.id: task.kind for task in await stage.rows(database, AiTask)}
    pairs = []
    for run in await stage.rows(database, AiRun):
        if run.finished_at is not None:
            day = run.created_at.astimezone(UTC).strftime("%Y-%m-%d")
            tokens = {name: (run.usage or {}).get(wire, 0) for name, wire in TOKENS.items()}
            numbers = {"runs": 1, "failed": int(run.status == "failed"), "cost": run.cost or Decimal(0)} | tokens
            pairs.append(((run.tenant_id, day, kinds[run.task_id], run.model or run.provider), numbers))
    return summed(pairs)


async def of_report(database: Database) -> dict[Key, dict[str, Any]]:
    return summed(
        [
            ((row.tenant_id, f"{row.day}", row.kind, row.model), {name: getattr(row, name) for name in NUMBERS})
            for row in await stage.rows(database, AiReport)
        ]
    )


@pytest.mark.promise("S4-6")
async def test_the_report_of_each_day_is_the_sum_of_its_runs(
    tenant_client: Callable[..., Awaitable[AsyncClient]],
    database: Database,
    tenant: Made,
    make_tenant: Callable[[str], Awaitable[Made]],
    admin: asyncpg.Connection,
    drain: Callable[..., Awaitable[int]],
) -> None:
    client = await tenant_client("articles:read", "articles:write", "ai:run", "ai:read", "ai_usage:read")
    other = await tenant_client("articles:read", "articles:write", "ai:run", of=await make_tenant("Other"))
    for one in (client, other):
        await stage.start(one, "quality_check", await stage.article(one))
    article = await stage.article(client)
    await stage.start(client, "generate_article_draft", article, brief="Local cannot")
    await drain(retries=True)
    async with OpenAIServer() as server:
        for kind in ("seo_generate", "summarize_article"):
            await stage.start(client, kind, article)
        await drain_with(database, stage.worker(database, server.url))
    runs = await of_runs(database)
    assert len(runs) == 5 and sum(one["failed"] for one in runs.values()) >= 1
    assert sum(one["cost"] for one in runs.values()) == Decimal("0.000246")
    assert await of_report(database) == runs

    # Runs are open, all at once, and end at once: the open ones are no part of a day's report, yet of what is told.
    tasks = [(await stage.start(client, "seo_audit", await stage.article(client, f"A{n}")))["id"] for n in range(8)]
    scope, begun = Scope(Plane.TENANT, tenant.id), [new_id() for _ in tasks]

    async def begin(run_id: UUID, task_id: str) -> None:
        async with database.transaction(scope) as session:
            await RunLog(session).open(run_id, tenant.id, UUID(task_id), "local")

    async def fail(run_id: UUID) -> None:
        async with database.transaction(scope) as session:
            assert await RunLog(session).fail(run_id, "broken", "It broke")

    async def told(by: str) -> dict[str, int]:
        answer = await client.get(f"/api/v1/ai/usage/parts?by={by}")
        return {part["key"]: part["runs"] for part in answer.json()["items"]}

    await asyncio.gather(*map(begin, begun, tasks))
    assert await of_report(database) == runs and (await told("kind"))["seo_audit"] == 8
    await asyncio.gather(*map(fail, begun))
    assert (await told("kind"))["seo_audit"] == 8 and sum((await told("model")).values()) == 12
    assert await of_report(database) == await of_runs(database) != runs

    # A run that began the day before yesterday, one whose cost was mended, and one that nobody ended after all.
    await admin.execute("UPDATE ai_run SET created_at = created_at - interval '2 days' WHERE id = $1", begun[0])
    await admin.execute("UPDATE ai_run SET cost = 0.25, model = 'mended' WHERE id = $1", begun[1])
    late = new_id()
    await begin(late, tasks[2])
    with pytest.raises(ZeroDivisionError):
        async with database.transaction(scope) as session:
            assert await RunLog(session).fail(late, "broken", "It broke")
            await session.flush()
            raise ZeroDivisionError
    report = await of_report(database)
    assert report == await of_runs(database)
    assert len({day for _, day, *_ in report}) == 2 and {"mended", "local"} <= {model for *_, model in report}
