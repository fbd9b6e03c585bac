"""AI's tasks for tenants' apps, and everything about them for the owner."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from httpx2 import AsyncClient, Response

from app.core.database import Database
from app.core.ids import new_id
from app.modules.ai.models import AiTask
from tests.conftest import Made
from tests.modules.ai import stage

TenantClient = Callable[..., Awaitable[AsyncClient]]
Drain = Callable[..., Awaitable[int]]


def problem(answer: Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    return body


@pytest.mark.promise("S4-6")
async def test_asking_answers_at_once_with_the_tasks_address(tenant_client: TenantClient) -> None:
    client = await tenant_client()
    article_id = await stage.article(client)
    answer = await client.post(f"/api/v1/articles/{article_id}/summaries")
    assert answer.status_code == 202
    task = answer.json()
    assert answer.headers["location"] == f"/api/v1/ai/tasks/{task['id']}"
    assert (task["status"], task["articleId"], task["kind"]) == ("queued", article_id, "summarize_article")
    assert (task["result"], task["error"], task["finishedAt"]) == (None, None, None)
    read = await client.get(answer.headers["location"])
    assert read.status_code == 200
    assert read.json() == task
    assert read.headers["etag"] == f'"{task["version"]}"'


async def test_asking_twice_answers_with_the_same_task(tenant_client: TenantClient, database: Database) -> None:
    client = await tenant_client()
    address = f"/api/v1/articles/{await stage.article(client)}/summaries"
    first, second = await client.post(address), await client.post(address, json={})
    assert second.status_code == 202
    assert second.headers["location"] == first.headers["location"]
    assert len(await stage.rows(database, AiTask)) == 1


async def test_a_repeated_idempotency_key_gets_the_first_answer(tenant_client: TenantClient, drain: Drain) -> None:
    client = await tenant_client()
    address = f"/api/v1/articles/{await stage.article(client)}/summaries"
    key = {"Idempotency-Key": "summary-1"}
    first = await client.post(address, headers=key)
    await drain()
    again = await client.post(address, headers=key)
    assert (again.status_code, again.json()) == (202, first.json()), "not a new task, though the first one is done"
    assert again.headers["location"] == first.headers["location"]


async def test_bad_requests_are_told_apart_and_write_nothing(
    tenant_client: TenantClient, database: Database, make_tenant: Callable[[str], Awaitable[Made]]
) -> None:
    client = await tenant_client()
    article_id = await stage.article(client)
    stranger = await tenant_client(of=await make_tenant("Other"))
    missing = problem(await stranger.post(f"/api/v1/articles/{new_id()}/summaries"), 404, "not_found")
    foreign = problem(await stranger.post(f"/api/v1/articles/{article_id}/summaries"), 404, "not_found")
    assert {**missing, "requestId": ""} == {**foreign, "requestId": ""}
    unknown = await client.post(f"/api/v1/articles/{article_id}/summaries", json={"length": "short"})
    assert unknown.status_code in (400, 422)
    assert "length" in unknown.text
    reader = await tenant_client("ai:read", "articles:read")
    problem(await reader.post(f"/api/v1/articles/{article_id}/summaries"), 403, "permission_missing")
    assert await stage.rows(database, AiTask) == []


async def test_a_task_of_another_tenant_answers_as_a_missing_one(
    tenant_client: TenantClient, make_tenant: Callable[[str], Awaitable[Made]]
) -> None:
    client = await tenant_client()
    task = await stage.ask(client, await stage.article(client))
    stranger = await tenant_client(of=await make_tenant("Other"))
    foreign = problem(await stranger.get(f"/api/v1/ai/tasks/{task['id']}"), 404, "not_found")
    missing = problem(await stranger.get(f"/api/v1/ai/tasks/{new_id()}"), 404, "not_found")
    assert {**missing, "requestId": ""} == {**foreign, "requestId": ""}
    assert (await stranger.get("/api/v1/ai/tasks")).json()["items"] == []


async def test_tasks_are_listed_newest_first_and_page_by_page(tenant_client: TenantClient, drain: Drain) -> None:
    client = await tenant_client()
    made = [(await stage.ask(client, await stage.article(client, f"Article {n}")))["id"] for n in range(3)]
    await drain()
    made.append((await stage.ask(client, await stage.article(client, "Article 3")))["id"])

    first = (await client.get("/api/v1/ai/tasks?limit=3")).json()
    assert [item["id"] for item in first["items"]] == made[:0:-1]
    assert first["prevCursor"] is None
    second = (await client.get(f"/api/v1/ai/tasks?limit=3&cursor={first['nextCursor']}")).json()
    assert [item["id"] for item in second["items"]] == made[:1]
    assert second["nextCursor"] is None

    queued = (await client.get("/api/v1/ai/tasks?status=queued")).json()["items"]
    assert [item["id"] for item in queued] == made[3:]
    one = (await client.get(f"/api/v1/ai/tasks?articleId={queued[0]['articleId']}")).json()["items"]
    assert [item["id"] for item in one] == made[3:]

    problem(await client.get(f"/api/v1/ai/tasks?status=queued&cursor={first['nextCursor']}"), 400, "bad_cursor")
    assert "limit" in problem(await client.get("/api/v1/ai/tasks?limit=101"), 422, "invalid")["detail"]
    wrong = problem(await client.get("/api/v1/ai/tasks?status=done"), 422, "invalid")
    assert wrong["errors"] == [
        {"field": "status", "message": "must be one of queued, running, completed, failed, cancelled"}
    ]
    assert (
        problem(await client.get("/api/v1/ai/tasks?articleId=7"), 422, "invalid")["errors"][0]["field"] == "articleId"
    )


@pytest.mark.promise("S4-35")
async def test_the_owner_reads_tasks_runs_messages_and_events_of_all_tenants(
    owner: AsyncClient,
    tenant_client: TenantClient,
    drain: Drain,
    tenant: Made,
    make_tenant: Callable[[str], Awaitable[Made]],
) -> None:
    other = await make_tenant("Other")
    here, there = await tenant_client(), await tenant_client(of=other)
    mine = (await stage.ask(here, await stage.article(here)))["id"]
    theirs = (await stage.ask(there, await stage.article(there)))["id"]
    await drain()

    async def items(address: str) -> list[dict[str, Any]]:
        answer = await owner.get(f"/api/owner/ai/{address}")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    assert [(row["id"], row["tenantId"]) for row in await items("tasks")] == [
        (theirs, str(other.id)),
        (mine, str(tenant.id)),
    ]
    assert [row["id"] for row in await items(f"tasks?tenantId={tenant.id}&status=completed")] == [mine]
    (run,) = await items(f"runs?taskId={mine}")
    assert (run["status"], run["attempt"], run["provider"], run["costUsd"]) == ("completed", 1, "local", "0")
    assert set(run["usage"]) == {"input", "cacheRead", "cacheWrite", "output", "reasoning"}
    assert [row["id"] for row in await items(f"runs?tenantId={tenant.id}")] == [run["id"]]
    assert await items("runs?status=failed") == []
    assert [row["role"] for row in await items(f"messages?runId={run['id']}")] == ["assistant", "user"]
    assert len(await items("messages")) == 4
    assert await items(f"messages?taskId={mine}") == await items(f"messages?runId={run['id']}")
    kinds = [row["type"] for row in await items(f"event-logs?runId={run['id']}")]
    assert kinds == ["run.completed", "provider.answered", "run.started"]
    assert await items("event-logs?level=error") == []
    page = (await owner.get("/api/owner/ai/event-logs?limit=4")).json()
    rest = (await owner.get(f"/api/owner/ai/event-logs?limit=4&cursor={page['nextCursor']}")).json()
    assert len({row["id"] for row in page["items"] + rest["items"]}) == 6
    assert problem(await owner.get("/api/owner/ai/runs?taskId=x"), 422, "invalid")["errors"][0]["field"] == "taskId"
    assert "level" in problem(await owner.get("/api/owner/ai/event-logs?level=loud"), 422, "invalid")["detail"]


async def test_a_tenants_token_cannot_use_the_owners_api(tenant_client: TenantClient) -> None:
    client = await tenant_client()
    for name in ("tasks", "runs", "messages", "event-logs"):
        assert (await client.get(f"/api/owner/ai/{name}")).status_code == 403


async def test_a_task_tells_the_owner_its_job(
    owner: AsyncClient, tenant_client: TenantClient, database: Database
) -> None:
    client = await tenant_client()
    task = await stage.ask(client, await stage.article(client))
    assert "jobId" not in task
    (seen,) = (await owner.get("/api/owner/ai/tasks")).json()["items"]
    assert UUID(seen["jobId"]) == await stage.job_id_of(database, task["id"])
