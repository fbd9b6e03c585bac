"""What a tenant that is suspended has under way: it ends, and nothing of it reaches outside."""

from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from httpx2 import AsyncClient

from tests.conftest import Made
from tests.modules.ai.stage import ask
from tests.modules.plugins.conftest import SCOPES, Install, Receiver

DELIVERIES, TASKS = "/api/v1/plugins/deliveries", "/api/v1/ai/tasks"
MORE = ("ai:run", "ai:read", "emails:send", "emails:read", "email_templates:write", "email_templates:read")


@pytest.mark.promise("S4-49")
@pytest.mark.parametrize("end", ["suspension", "deletion"])
async def test_work_under_way_ends_without_calls_mails_or_questions_to_ai_and_can_be_done_afterwards(
    end: str,
    tenant: Made,
    owner: AsyncClient,
    tenant_client: Callable[..., Awaitable[AsyncClient]],
    install: Install,
    receiver: Receiver,
    drain: Callable[..., Awaitable[int]],
    admin: asyncpg.Connection,
) -> None:
    program, here = await tenant_client(*SCOPES, *MORE), f"/api/owner/tenants/{tenant.id}"
    await install("ok", by=program)
    made = await program.post("/api/v1/articles", json={"title": "News", "body": "Something happened in the town."})
    id_ = made.json()["id"]
    template = {"name": "hello", "subject": "Hello", "body": "Good day.", "category": "transactional"}
    assert (await program.post("/api/v1/email-templates", json=template)).status_code == 201
    mail = await program.post("/api/v1/emails", json={"template": "hello", "to": "ann@example.org"})
    assert mail.status_code == 202, mail.text
    task = await ask(program, id_)
    batch = await program.post("/api/v1/articles/batches", json={"treatment": "publish", "ids": [id_]})
    assert (await program.post(f"/api/v1/articles/{id_}/publication")).status_code == 200
    if end == "suspension":
        await owner.patch(here, json={"status": "suspended"})
    else:
        assert (await owner.post(f"{here}/deletion", json={})).status_code == 200
    await drain()
    assert receiver.calls() == []
    states = "SELECT state FROM job WHERE id = $1"
    assert await admin.fetchval(states, batch.json()["jobId"]) == "completed", "what stays inside is done"
    told = await admin.fetchrow("SELECT status, error FROM email_log WHERE tenant_id = $1", tenant.id)
    assert tuple(told) == ("suppressed", "the tenant is suspended")
    told = await admin.fetchrow("SELECT id, status, error FROM plugin_delivery")
    assert (told["status"], told["error"]) == ("skipped", "its tenant is suspended")
    failed = await admin.fetchrow("SELECT status, error_code FROM ai_task")
    assert tuple(failed) == ("failed", "tenant_suspended")
    assert await admin.fetchval("SELECT count(*) FROM ai_message") == 0, "no provider was asked"
    if end == "suspension":
        await owner.patch(here, json={"status": "active"})
    else:
        assert (await owner.delete(f"{here}/deletion")).status_code == 200
    assert (await program.post(f"{DELIVERIES}/{told['id']}/redelivery")).status_code == 202
    assert (await program.post(f"{TASKS}/{task['id']}/retry")).status_code == 202
    await drain()
    assert [call["manner"] for call in receiver.calls()] == ["ok"]
    assert (await program.get(f"{TASKS}/{task['id']}")).json()["status"] == "completed"
