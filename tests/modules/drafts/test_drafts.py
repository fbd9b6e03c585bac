"""A person decides on what AI proposes, by API and by page."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from httpx2 import AsyncClient

from app.core.database import Database
from app.modules.audit.models import AuditLog
from tests.conftest import Made
from tests.modules.ai import stage

TenantClient = Callable[..., Awaitable[AsyncClient]]
Drain = Callable[..., Awaitable[int]]
Person = Callable[..., Awaitable[AsyncClient]]
ROUGH = "The weir  holds the the river.\n\n<script>alert(1)</script>\n\nTrout pass by a ladder."
HTMX = {"HX-Request": "true"}


async def proposed(client: AsyncClient, drain: Drain, body: str = ROUGH) -> tuple[str, dict[str, Any]]:
    """An article, and a draft of its mended text."""
    article = await stage.article(client, body=body)
    task = await stage.start(client, "rewrite_article", article)
    await drain()
    draft_id = (await stage.task_of(client, task["id"]))["result"]["draftId"]
    draft: dict[str, Any] = (await client.get(f"/api/v1/drafts/{draft_id}")).json()
    return article, draft


@pytest.mark.promise("S4-6", "S4-18")
async def test_accepting_changes_the_article_once_and_leaves_a_trace(
    tenant_client: TenantClient, database: Database, drain: Drain
) -> None:
    client = await tenant_client()
    article, draft = await proposed(client, drain)
    assert (draft["status"], draft["changes"]) == ("proposed", ["body"])
    address = f"/api/v1/drafts/{draft['id']}"
    # A summary that is written meanwhile makes another version of the article, and does not stand in the way.
    await stage.ask(client, article)
    await drain()
    first, second = await asyncio.gather(client.post(f"{address}/acceptance"), client.post(f"{address}/acceptance"))
    assert sorted([first.status_code, second.status_code]) == [200, 409], first.text + second.text
    accepted = first if first.status_code == 200 else second
    assert (accepted.json()["status"], accepted.json()["decidedBy"]) == ("accepted", "test")
    shown = (await client.get(f"/api/v1/articles/{article}")).json()
    assert shown["body"] == draft["patch"]["body"]
    assert "<script>" not in shown["html"]
    trail = [row.action for row in await stage.rows(database, AuditLog, AuditLog.id) if row.outcome == "success"]
    assert trail[-2:] == ["article.update", "ai.draft.accept"]
    late = await client.post(f"{address}/rejection", json={"reason": "Too late"})
    assert (late.status_code, late.json()["code"]) == (409, "draft_decided")


async def test_what_changed_meanwhile_is_not_overwritten(tenant_client: TenantClient, drain: Drain) -> None:
    client = await tenant_client()
    article, draft = await proposed(client, drain)
    await client.patch(f"/api/v1/articles/{article}", json={"body": "Somebody wrote this."})
    answer = await client.post(f"/api/v1/drafts/{draft['id']}/acceptance")
    assert (answer.status_code, answer.json()["code"]) == (409, "draft_stale")
    assert (await client.get(f"/api/v1/articles/{article}")).json()["body"] == "Somebody wrote this."
    rejected = await client.post(f"/api/v1/drafts/{draft['id']}/rejection", json={"reason": "Ours is better"})
    assert (rejected.json()["status"], rejected.json()["reason"]) == ("rejected", "Ours is better")
    wrong = await client.post(f"/api/v1/drafts/{draft['id']}/rejection", json={"why": "x"})
    assert wrong.status_code in (400, 422)


async def test_drafts_are_of_one_tenant_and_accepting_wants_the_right_to_write(
    tenant_client: TenantClient, drain: Drain, make_tenant: Callable[[str], Awaitable[Made]]
) -> None:
    client = await tenant_client()
    article, draft = await proposed(client, drain)
    stranger = await tenant_client(of=await make_tenant("Other"))
    for answer in (
        await stranger.get(f"/api/v1/drafts/{draft['id']}"),
        await stranger.post(f"/api/v1/drafts/{draft['id']}/acceptance"),
    ):
        assert answer.status_code == 404
    assert (await stranger.get("/api/v1/drafts")).json()["items"] == []
    reader = await tenant_client("drafts:read", "drafts:decide")
    refused = await reader.post(f"/api/v1/drafts/{draft['id']}/acceptance")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_missing")
    listed = (await reader.get(f"/api/v1/drafts?articleId={article}&status=proposed")).json()["items"]
    assert [item["id"] for item in listed] == [draft["id"]]
    assert "patch" not in listed[0]
    assert (await reader.get("/api/v1/drafts?status=open")).status_code == 422


async def test_a_member_decides_on_a_page_that_shows_the_difference(
    tenant_client: TenantClient, owner: AsyncClient, member: Person, tenant: Made, drain: Drain
) -> None:
    article, draft = await proposed(await tenant_client(), drain)
    editor = await member("ann@example.org", "editor")
    path = f"/dashboard/t/{tenant.slug}/ai/drafts"
    listed = await editor.get(path)
    assert stage.TITLE in listed.text and 'data-state="proposed"' in listed.text
    drawer = (await editor.get(f"{path}/{draft['id']}", headers=HTMX)).text
    assert "-The weir  holds the the river." in drawer
    assert "+The weir holds the river." in drawer
    assert "<script>alert" not in drawer
    assert f"{path}/{draft['id']}/acceptance" in drawer
    viewer = await member("vic@example.org", "viewer")
    assert "/acceptance" not in (await viewer.get(f"{path}/{draft['id']}", headers=HTMX)).text
    assert (await viewer.post(f"{path}/{draft['id']}/acceptance")).status_code == 403
    done = await editor.post(f"{path}/{draft['id']}/acceptance", headers=HTMX)
    assert done.status_code == 200, done.text
    assert "The article is changed as proposed" in done.headers["HX-Trigger"]
    seen = await owner.get(f"/dashboard/owner/ai/drafts?articleId={article}")
    assert ">Rewrite article</span>" in seen.text and "rewrite_article" not in seen.text, "kinds have names"
    assert 'data-state="accepted"' in seen.text and tenant.name in seen.text
    (owned,) = (await owner.get("/api/owner/drafts")).json()["items"]
    assert owned["tenantId"] == str(tenant.id)


async def test_what_the_owner_accepts_is_told_in_the_name_of_the_tenant(
    tenant_client: TenantClient, owner: AsyncClient, tenant: Made, database: Database, drain: Drain
) -> None:
    client = await tenant_client()
    manifest = {"key": "hook", "name": "Hook", "version": "1.0.0", "endpoint": "https://hooks.example.org/"}
    plugins = await tenant_client("plugins:manage", "plugins:read")
    installed = await plugins.post("/api/v1/plugins", json={"manifest": manifest | {"events": ["article.updated"]}})
    assert installed.status_code == 201, installed.text
    _, draft = await proposed(client, drain)
    answer = await owner.post(f"/dashboard/owner/ai/drafts/{draft['id']}/acceptance", headers=HTMX)
    assert answer.status_code == 200, answer.text
    trail = await stage.rows(database, AuditLog, AuditLog.id)
    assert [row.tenant_id for row in trail if row.action == "article.update"] == [tenant.id]
    (delivery,) = (await plugins.get("/api/v1/plugins/deliveries")).json()["items"]
    assert delivery["type"] == "article.updated"
