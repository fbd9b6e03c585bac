"""Every kind of task: what it takes, what comes of it with `local` and with a model, and what ends it."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any
from uuid import UUID

import pytest
from httpx2 import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, Plane, Scope, scope_of
from app.core.errors import Conflict, Invalid
from app.core.ids import new_id
from app.core.policy import SYSTEM_ACTOR
from app.modules.ai.events import TaskEnded
from app.modules.ai.models import AiTask
from app.modules.ai.service import AiService
from app.modules.runs.models import AiRun
from app.queues import letters
from app.queues.inline import drain as drain_with
from app.queues.models import JobRow, State
from tests.conftest import Made
from tests.modules.ai import stage
from tests.modules.ai.openai_server import OpenAIServer

TenantClient = Callable[..., Awaitable[AsyncClient]]
Drain = Callable[..., Awaitable[int]]
SCOPES = (
    *("articles:read", "articles:write", "ai:run", "ai:read", "ai_usage:read"),
    *("drafts:read", "drafts:decide", "reports:read"),
)
ROUGH = "# Part\n\nThe weir  holds the the river. TODO name it.\n\n### Trout\n\nTrout pass by a ladder , in spring."
UNIT_S = 10
WAITS = (State.PENDING, State.QUEUED)  # the second once the push after the commit is through


@pytest.fixture
def ended(database: Database) -> Generator[list[tuple[str, str, UUID]], None, None]:
    """Kind and status of each task that is told to have ended, and the tenant in whose name."""
    heard: list[tuple[str, str, UUID]] = []

    async def note(session: AsyncSession, event: TaskEnded) -> None:
        heard.append((event.kind, event.status, scope_of(session).tenant_id))

    before = database._ports["subscribers"]
    database.provide(subscribers={**before, TaskEnded: [*before.get(TaskEnded, ()), note]})
    yield heard
    database.provide(subscribers=before)


async def got(client: AsyncClient, address: str) -> dict[str, Any]:
    answer = await client.get(address)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.promise("S4-28", "S4-4")
async def test_local_does_what_counting_can_and_refuses_the_rest(
    tenant_client: TenantClient, database: Database, drain: Drain
) -> None:
    client = await tenant_client(*SCOPES)
    article = await stage.article(client, body=ROUGH)
    asked = {
        kind: (await stage.start(client, kind, article, **wanted))["id"]
        for kind, wanted in (
            ("rewrite_article", {}),
            ("seo_generate", {}),
            ("seo_audit", {}),
            ("quality_check", {}),
            ("generate_article_draft", {"brief": "Something about rivers"}),
        )
    }
    assert {row.kind: row.queue for row in await stage.rows(database, JobRow)} == {
        "rewrite_article": "ai:content",
        "quality_check": "ai:content",
        "generate_article_draft": "ai:content",
        "seo_generate": "ai:seo",
        "seo_audit": "ai:seo",
    }
    await drain(retries=True)
    tasks = {kind: await stage.task_of(client, id_) for kind, id_ in asked.items()}

    assert tasks["generate_article_draft"]["status"] == "failed"
    assert tasks["generate_article_draft"]["error"]["code"] == "provider_cannot"
    assert "needs a language model" in tasks["generate_article_draft"]["error"]["message"]

    rewritten = tasks["rewrite_article"]["result"]
    assert rewritten["note"] == (
        "1 run of spaces, 1 word written twice, 1 space before a mark, 1 skipped heading level"
    )
    draft = await got(client, f"/api/v1/drafts/{rewritten['draftId']}")
    assert draft["before"]["body"] == ROUGH
    mended = "# Part\n\nThe weir holds the river. TODO name it.\n\n## Trout\n\nTrout pass by a ladder, in spring."
    assert draft["patch"] == {"body": mended}
    assert (await got(client, f"/api/v1/articles/{article}"))["body"] == ROUGH, "nobody has accepted yet"

    meta = tasks["seo_generate"]["result"]
    assert meta["description"] in ROUGH.replace("  ", " ").replace(" ,", ",") or meta["description"].endswith("…")
    assert "draftId" not in meta, "title and slug are what they would be"
    quality = await got(client, f"/api/v1/reports/{tasks['quality_check']['result']['reportId']}")
    assert {finding["check"]: finding["level"] for finding in quality["findings"]} == {
        "unfinished": "error",
        "outline": "notice",
    }
    assert quality["score"] == 100 - 15 - 2 == tasks["quality_check"]["result"]["score"]
    seo = await got(client, f"/api/v1/reports/{tasks['seo_audit']['result']['reportId']}")
    assert {"thin", "no_links", "description"} <= {finding["check"] for finding in seo["findings"]}
    assert {finding["source"] for finding in seo["findings"]} == {"rule"}
    listed = (await got(client, f"/api/v1/reports?articleId={article}&kind=seo"))["items"]
    assert [item["id"] for item in listed] == [seo["id"]]

    again = await stage.start(client, "rewrite_article", article, instructions="Make it funny")
    await drain(retries=True)
    assert (await stage.task_of(client, again["id"]))["error"]["code"] == "provider_cannot"


@pytest.mark.promise("S4-65", "S4-6", "S4-28")
async def test_a_model_writes_drafts_and_reports_that_name_it(
    tenant_client: TenantClient, owner: AsyncClient, database: Database, tenant: Made
) -> None:
    client = await tenant_client(*SCOPES)
    article = await stage.article(client)
    async with OpenAIServer() as server:
        tasks = {
            kind: (await stage.start(client, kind, article, **wanted))["id"]
            for kind, wanted in (
                ("generate_article_draft", {"brief": "Nine pools"}),
                ("rewrite_article", {"instructions": "Shorter"}),
                ("seo_generate", {}),
                ("quality_check", {}),
                ("seo_audit", {}),
                ("summarize_article", {}),
            )
        }
        await drain_with(database, stage.worker(database, server.url))
        sent = b"".join(request.body for request in server.received).decode()
    assert "Nine pools" in sent
    assert "The editor asks: Shorter" in sent
    results = {kind: (await stage.task_of(client, id_))["result"] for kind, id_ in tasks.items()}
    written = await got(client, f"/api/v1/drafts/{results['generate_article_draft']['draftId']}")
    assert written["changes"] == ["body", "title"]
    assert written["provider"] == "openrouter"
    rewritten = await got(client, f"/api/v1/drafts/{results['rewrite_article']['draftId']}")
    assert (rewritten["note"], rewritten["patch"]["body"][:7]) == ("Shortened.", "## Anew")
    meta = results["seo_generate"]
    assert (meta["title"], meta["slug"], meta["description"][:8]) == ("A better title", "the-weir-stands", "The weir")
    for kind in ("quality_check", "seo_audit"):
        report = await got(client, f"/api/v1/reports/{results[kind]['reportId']}")
        said = [finding for finding in report["findings"] if finding["source"] == "model"]
        assert [finding["level"] for finding in said] == ["warning", "notice"]
        assert report["provider"] == "openrouter"
    summary = results["summarize_article"]
    assert summary["provider"] == "openrouter" and summary["summary"] and summary["keywords"]
    runs = await stage.rows(database, AiRun)
    assert {run.template_version for run in runs} == {0}
    assert all(run.cost_usd == "0.000123" for run in runs)
    (used,) = (await got(client, "/api/v1/ai/usage"))["items"]
    assert (used["runs"], used["failed"], used["cacheRead"], used["costUsd"]) == (6, 0, 120, "0.000738")
    assert used["input"] == sum(run.usage["input"] for run in runs if run.usage)
    page = (await owner.get("/dashboard/owner/ai/usage")).text
    assert "$0.000738" in page and tenant.name in page
    for by in ("day", "kind", "model"):
        own = (await got(client, f"/api/v1/ai/usage/parts?by={by}"))["items"]
        for name in ("runs", "failed", "input", "output"):
            assert sum(part[name] for part in own) == used[name], (by, name)
        tenant_id = used["tenantId"]
        assert (await got(owner, f"/api/owner/ai/usage/parts?by={by}&tenantId={tenant_id}"))["items"] == own
        assert (await got(owner, f"/api/owner/ai/usage/parts?by={by}&tenantId={new_id()}"))["items"] == []
        assert all(part["key"] in page for part in own if by != "kind")
    assert {part["key"] for part in (await got(client, "/api/v1/ai/usage/parts?by=kind"))["items"]} == {*results}
    assert (await owner.get("/api/owner/ai/usage/parts?by=weather")).status_code == 422
    assert (await got(owner, "/api/owner/ai/usage?month=2020-01"))["items"] == []
    assert (await owner.get("/api/owner/ai/usage?month=May")).status_code == 422


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"kind": "sing"}, "kind"),
        ({"kind": "generate_article_draft"}, "brief"),
        ({"kind": "generate_article_draft", "brief": ""}, "brief"),
        ({"kind": "rewrite_article", "instructions": "x" * 2001}, "instructions"),
        ({"kind": "seo_audit", "brief": "x"}, "brief"),
    ],
)
async def test_what_a_kind_does_not_take_is_named_and_nothing_is_written(
    tenant_client: TenantClient, database: Database, tenant: Made, wanted: dict[str, str], field: str
) -> None:
    client = await tenant_client(*SCOPES)
    article = await stage.article(client)
    answer = await client.post("/api/v1/ai/tasks", json={"articleId": article, **wanted})
    assert answer.status_code in (400, 422)
    assert field in answer.text
    with pytest.raises(Invalid, match=field):
        async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
            rest = {name: value for name, value in wanted.items() if name != "kind"}
            await AiService(session, SYSTEM_ACTOR).start_kind(wanted["kind"], article, rest)
    assert await stage.rows(database, AiTask) == []


async def test_a_key_gives_the_first_task_whatever_became_of_it(
    tenant_client: TenantClient, database: Database, drain: Drain, tenant: Made
) -> None:
    client = await tenant_client(*SCOPES)
    article = await stage.article(client)

    async def start(key: str, kind: str = "quality_check") -> AiTask:
        async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
            return await AiService(session, SYSTEM_ACTOR).start_kind(kind, article, key=key)

    first, same = await asyncio.gather(start("step-1"), start("step-1"))
    assert first.id == same.id
    await drain()
    assert (await start("step-1")).id == first.id, "it is completed, and still the one"
    assert (await start("step-2")).id != first.id
    with pytest.raises(Conflict, match="another task"):
        await start("step-1", "seo_audit")
    assert len(await stage.rows(database, JobRow)) == 2


async def test_a_task_can_be_cancelled_and_begun_again_and_each_end_is_told(
    tenant_client: TenantClient,
    owner: AsyncClient,
    database: Database,
    drain: Drain,
    tenant: Made,
    ended: list[tuple[str, str, UUID]],
) -> None:
    client = await tenant_client(*SCOPES)
    task = await stage.start(client, "quality_check", await stage.article(client))
    address = f"/api/v1/ai/tasks/{task['id']}"
    cancelled = await client.post(f"{address}/cancellation")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert (await client.post(f"{address}/cancellation")).json()["code"] == "not_cancellable"
    (job,) = await stage.rows(database, JobRow)
    assert job.state == State.CANCELLED
    assert await drain() == 0
    again = await client.post(f"{address}/retry")
    assert (again.status_code, again.json()["status"], again.json()["cancelRequestedAt"]) == (202, "queued", None)
    assert await drain() == 1
    assert (await stage.task_of(client, task["id"]))["status"] == "completed"
    assert (await client.post(f"{address}/retry")).json()["code"] == "not_retryable"

    failed = await stage.start(client, "summarize_article", await stage.article(client, body="# Nothing"))
    await drain(retries=True)
    answer = await owner.post(f"/api/owner/ai/tasks/{failed['id']}/retry")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued"), answer.text
    letter = next(job for job in await stage.rows(database, JobRow) if str(job.id) == answer.json()["jobId"])
    assert (letter.state in WAITS, letter.run) == (True, 1), "a dead letter gets a new run"

    page = f"/dashboard/owner/ai/tasks/{failed['id']}"
    answer = await owner.post(f"{page}/cancellation", headers={"HX-Request": "true"})
    assert "The task is cancelled" in answer.headers["HX-Trigger"]
    assert f"{page}/retry" in answer.text
    assert (await owner.post(f"{page}/retry", headers={"HX-Request": "true"})).status_code == 200
    newest = (await stage.rows(database, JobRow, JobRow.id))[-1]
    assert (newest.state in WAITS, newest.tenant_id) == (True, tenant.id), "the tenant's job, whoever began it again"
    assert ended == [
        ("quality_check", "cancelled", tenant.id),
        ("quality_check", "completed", tenant.id),
        ("summarize_article", "failed", tenant.id),
        ("summarize_article", "cancelled", tenant.id),
    ]


async def test_a_running_task_is_stopped_by_its_worker(tenant_client: TenantClient, database: Database) -> None:
    client = await tenant_client(*SCOPES)
    task = await stage.start(client, "quality_check", await stage.article(client))
    job_id = await stage.job_id_of(database, task["id"])
    async with stage.GatedServer() as server, asyncio.timeout(UNIT_S):
        runner = stage.worker(database, server.url)
        attempt = asyncio.create_task(runner.attempt(job_id, 0))
        await server.arrived.wait()
        told = (await client.post(f"/api/v1/ai/tasks/{task['id']}/cancellation")).json()
        assert told["status"] == "running"
        assert told["cancelRequestedAt"] is not None
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
    found = await stage.task_of(client, task["id"])
    assert (found["status"], found["error"]["code"]) == ("cancelled", "cancelled")


async def test_an_edited_dead_letter_works_on_the_same_task(
    tenant_client: TenantClient, database: Database, drain: Drain
) -> None:
    client = await tenant_client(*SCOPES)
    article = await stage.article(client)
    task = await stage.start(client, "quality_check", article)
    await drain_with(database, stage.worker(database, "http://127.0.0.1:9/v1"), until=stage.later())
    job_id = await stage.job_id_of(database, task["id"])
    async with database.transaction(stage.PLATFORM) as session:
        new = await letters.edit(session, await session.get_one(JobRow, job_id), {"taskId": task["id"]})
    assert (await stage.start(client, "quality_check", article))["id"] == task["id"]
    assert await drain() == 1
    assert (await stage.task_of(client, task["id"]))["status"] == "completed"
    assert await stage.job_id_of(database, task["id"]) == new
