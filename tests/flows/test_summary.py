"""A summary, from the tenant's request to the article that has it; by draining the record of work, and by workers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from httpx2 import AsyncClient

from tests.conftest import TenantClient
from tests.flows.owner_app import OwnerApp
from tests.flows.running import Running
from tests.flows.tenant_app import ARTICLE, SCOPES, TenantApp

Drain = Callable[..., Awaitable[int]]
LETTERS = "/api/owner/queues/ai:content/dlq"


async def post(app: AsyncClient, markdown: str) -> str:
    answer = await app.post("/api/v1/articles", content=markdown.encode(), headers={"Content-Type": "text/markdown"})
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


async def read(client: AsyncClient, place: str) -> dict[str, Any]:
    answer = await client.get(place)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_request_becomes_a_job_and_the_job_writes_the_summary(
    owner: AsyncClient, tenant_client: TenantClient, drain: Drain
) -> None:
    app = await tenant_client()
    article = await post(app, ARTICLE)
    asked = await app.post(f"{article}/summaries")
    assert asked.status_code == 202
    task = asked.headers["Location"]
    assert (await read(app, task))["status"] == "queued"
    assert (await app.post(f"{article}/summaries")).headers["Location"] == task, "one unfinished task is enough"
    assert (await read(app, article))["summary"] is None

    assert await drain() == 1
    done = await read(app, task)
    assert done["status"] == "completed"
    found = await read(app, article)
    assert found["summary"] == done["result"]["summary"]
    assert 0 < len(found["summary"]) < len(ARTICLE) / 5
    assert found["summaryProvider"] == "local"
    assert await drain() == 0

    runs = (await read(owner, "/api/owner/ai/runs"))["items"]
    assert [(run["status"], run["attempt"], run["provider"]) for run in runs] == [("completed", 1, "local")]
    events = (await read(owner, f"/api/owner/ai/event-logs?runId={runs[0]['id']}"))["items"]
    assert [event["type"] for event in reversed(events)] == ["run.started", "provider.answered", "run.completed"]


async def test_each_step_of_a_summary_is_audited_under_one_correlation(
    owner: AsyncClient, tenant_client: TenantClient, drain: Drain
) -> None:
    app = await tenant_client()
    article = await post(app, ARTICLE)
    await app.post(f"{article}/summaries")
    await drain()
    trail = (await read(owner, "/api/owner/logs/audit?limit=100"))["items"]
    of_ai = {entry["action"]: entry for entry in trail if entry["action"].startswith("ai.task.")}
    asked, written = of_ai["ai.task.start"], of_ai["ai.task.complete"]
    assert (asked["actorKind"], written["actorKind"]) == ("token", "system")
    assert asked["correlationId"] == written["correlationId"] is not None
    assert f"/api/v1/articles/{asked['resourceId']}" == article


async def test_a_summary_that_cannot_be_written_is_a_dead_letter_until_its_cause_is_mended(
    owner: AsyncClient, tenant_client: TenantClient, drain: Drain
) -> None:
    app = await tenant_client()
    article = await post(app, "# A heading, and no text yet")
    task = (await app.post(f"{article}/summaries")).headers["Location"]
    await drain()
    assert (await read(app, task))["status"] == "failed"
    (letter,) = (await read(owner, LETTERS))["items"]
    assert letter["lastError"] == (await read(app, task))["error"]["message"]

    changed = await app.patch(article, json={"body": ARTICLE})
    assert changed.status_code == 200, changed.text
    assert (await owner.post(f"{LETTERS}/{letter['id']}/replay")).status_code == 200
    assert (await owner.post(f"{LETTERS}/{letter['id']}/replay")).status_code == 409, "a second press is too late"
    assert await drain() == 1
    assert (await read(app, task))["status"] == "completed"
    assert (await read(app, article))["summary"]
    assert (await read(owner, LETTERS))["items"] == []


@pytest.mark.promise("S4-69")
async def test_real_workers_write_the_summaries_of_many_articles(teknav: Running) -> None:
    async with OwnerApp(teknav.address) as owner:
        await owner.become_owner(teknav.owner_link)
        tenant = await owner.post("/api/owner/tenants", {"name": "Many Pages"})
        made = await owner.post(f"/api/owner/tenants/{tenant['id']}/tokens", {"name": "app", "scopes": list(SCOPES)})
        async with TenantApp(teknav.address, made["token"]) as app:
            articles = [await app.post(f"{ARTICLE}\n\nThis is copy number {number}.") for number in range(12)]
            tasks = await asyncio.gather(*(app.ask_for_summary(article) for article in articles))
            for task in tasks:
                assert (await app.until(task, "completed"))["result"]["summary"]
        runs = (await owner.get(f"/api/owner/ai/runs?tenantId={tenant['id']}")).json()["items"]
        assert [run["attempt"] for run in runs] == [1] * 12, "each was run once"
        queues = {queue["name"]: queue for queue in (await owner.get("/api/owner/queues")).json()["items"]}
        core = {"ai:content", "ai:seo", "workflow:runtime", "plugin:webhooks", "analytics:process", "email:outbound"}
        assert core <= set(queues)
        assert queues["ai:content"]["completed"] >= 12 and queues["ai:content"]["failed"] == 0
