"""`teknav ai, drafts, reports, approvals` and `workflows` do what the pages do, and the audit log says who did."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
from httpx2 import AsyncClient

from tests.modules.ai import stage
from tests.modules.instances import flows

Teknav = Callable[..., Awaitable[str]]
TenantClient = Callable[..., Awaitable[AsyncClient]]
Drain = Callable[..., Awaitable[int]]
ROUGH = "The the sea  rises twice a day. TODO say why."


async def told(teknav: Teknav, *arguments: str) -> Any:
    return json.loads(await teknav(*arguments, "--json"))


async def test_ai_is_followed_and_its_proposals_are_decided_from_the_command_line(
    teknav: Teknav, tenant_client: TenantClient, owner: AsyncClient, drain: Drain, admin: asyncpg.Connection
) -> None:
    client = await tenant_client(*flows.SCOPES)
    rough, empty = await stage.article(client, body=ROUGH), await stage.article(client, "Nothing", "")
    await stage.start(client, "rewrite_article", rough)
    await stage.start(client, "quality_check", rough)
    failing = (await stage.ask(client, empty))["id"]
    await drain(retries=True)

    listed = await told(teknav, "ai", "tasks", "--status", "failed")
    assert [one["id"] for one in listed["items"]] == [failing]
    assert listed["items"] == (await owner.get("/api/owner/ai/tasks?status=failed")).json()["items"]
    assert "failed" in await teknav("ai", "task", failing)
    assert (await told(teknav, "ai", "task", failing)) == (await owner.get(f"/api/owner/ai/tasks/{failing}")).json()
    assert (await told(teknav, "ai", "retry", failing))["status"] == "queued"
    assert (await told(teknav, "ai", "cancel", failing))["status"] == "cancelled"
    assert "cannot be cancelled" in await teknav("ai", "cancel", failing, code=1)
    assert "must be one of" in await teknav("ai", "tasks", "--kind", "nonsense", code=2)
    runs = await told(teknav, "ai", "runs", "--task", failing)
    assert {one["status"] for one in runs["items"]} == {"failed"}
    (used,) = (await told(teknav, "ai", "usage"))["items"]
    assert used["failed"] == len(runs["items"]) and "US dollars" in await teknav("ai", "usage")

    (report,) = (await told(teknav, "reports", "list", "--kind", "quality"))["items"]
    assert await told(teknav, "reports", "show", report["id"]) == report
    assert (await owner.get(f"/api/owner/reports/{report['id']}")).json() == report
    assert "of 100" in await teknav("reports", "show", report["id"])

    (draft,) = (await told(teknav, "drafts", "list", "--article", rough))["items"]
    shown = await told(teknav, "drafts", "show", draft["id"])
    assert shown == (await owner.get(f"/api/owner/drafts/{draft['id']}")).json()
    assert (await told(teknav, "drafts", "accept", draft["id"]))["status"] == "accepted"
    assert (await client.get(f"/api/v1/articles/{rough}")).json()["body"] == shown["patch"]["body"]
    assert "accepted already" in await teknav("drafts", "reject", draft["id"], "--reason", "No", code=1)
    again = await owner.post(f"/api/owner/drafts/{draft['id']}/rejection", json={})
    assert (again.status_code, again.json()["code"]) == (409, "draft_decided")
    by = await admin.fetch("SELECT action, actor_kind FROM audit_log WHERE actor_kind = 'cli' ORDER BY id")
    assert [row["action"] for row in by if row["action"].startswith("ai.")] == [
        "ai.task.retry",
        "ai.task.cancel",
        "ai.draft.accept",
    ]


async def test_workflows_and_approvals_are_driven_from_the_command_line(
    teknav: Teknav, tenant_client: TenantClient, owner: AsyncClient, drain: Drain
) -> None:
    client = await tenant_client(*flows.SCOPES)
    ask = {"type": "approval", "key": "ask", "title": "Shall it stay?"}
    definition = await flows.workflow(client, ask)
    assert (await told(teknav, "workflows", "show", definition))["versions"][0]["number"] == 1
    assert "runs version 1" in await teknav("workflows", "show", definition)
    first = await flows.run(client, definition)
    await drain()
    assert (await told(teknav, "workflows", "pause", first))["status"] == "paused"
    assert (await told(teknav, "workflows", "resume", first))["status"] in ("running", "waiting")
    await drain()
    (question,) = (await told(teknav, "approvals", "list", "--status", "pending"))["items"]
    assert "Shall it stay?" in await teknav("approvals", "show", question["id"])
    decided = await told(teknav, "approvals", "decide", question["id"], "reject", "--comment", "Not now")
    assert (decided["status"], decided["decisions"][0]["comment"]) == ("rejected", "Not now")
    await drain()
    failed = await told(teknav, "workflows", "instance", first)
    assert (failed["status"], failed["executions"][0]["stepKey"]) == ("failed", "ask")
    assert (await told(teknav, "workflows", "retry", first))["status"] in ("running", "pending")
    second = (await told(teknav, "workflows", "restart", first))["id"]
    assert second != first and "ask" in await teknav("workflows", "instance", first)
    await told(teknav, "workflows", "publish", definition)
    assert (await told(teknav, "workflows", "switch-off", definition))["activeVersionId"] is None
    assert "is switched off" in await teknav("workflows", "show", definition)


async def test_what_models_are_told_is_changed_from_the_command_line(
    teknav: Teknav, owner: AsyncClient, tmp_path: Path
) -> None:
    file = tmp_path / "text"
    file.write_text("Say by $weather what is wrong.")
    assert "text:" in await teknav("ai", "change-template", "seo_audit", str(file), code=1)
    file.write_text("Name what keeps readers away.")
    changed = await told(teknav, "ai", "change-template", "seo_audit", str(file), "--message", "Shorter")
    assert changed == (await owner.get("/api/owner/ai/templates/seo_audit")).json()
    assert (changed["current"], changed["versions"][0]["message"]) == (1, "Shorter")
    assert "Name what keeps readers away." in await teknav("ai", "template", "seo_audit")
    assert (await told(teknav, "ai", "use-template", "seo_audit", "0"))["current"] == 0
    assert "no version" in await teknav("ai", "use-template", "seo_audit", "9", code=1)
    assert {one["name"] for one in (await told(teknav, "ai", "templates"))["items"]} >= {"seo_audit", "quality_check"}
