"""What the overview says of the platform: all is well, or what is not, the heaviest first."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient
from sqlalchemy import func

from app.core.database import SYSTEM, Database
from app.core.ids import new_id
from app.queues.models import LeaseRow, LoopRow, WorkerRow
from tests.modules.ai import stage
from tests.modules.instances import flows

OVERVIEW, HOME, HTMX = "/api/owner/overview", "/dashboard/owner", {"HX-Request": "true"}
Teknav = Callable[..., Awaitable[str]]


async def standing(owner: AsyncClient) -> dict[str, Any]:
    answer = await owner.get(OVERVIEW)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def begin_to_work(database: Database) -> None:
    """As a worker does that leads."""
    async with database.transaction(SYSTEM) as session:
        worker = WorkerRow(id=new_id(), host="press-1", pid=77, version="0.1.0", queues=[], jobs=0)
        session.add(worker)
        session.add(LeaseRow(name="worker-loops", holder=worker.id, expires_at=func.now() + timedelta(minutes=1)))
        loop = {"name": "relay", "holder": worker.id, "every_s": 0.5, "took_ms": 1.0, "cut_off": 0}
        session.add(LoopRow(ran_at=func.now(), **loop))


@pytest.mark.promise("S4-46")
async def test_an_owner_reads_in_one_sentence_that_all_is_well_or_what_is_not(
    owner: AsyncClient,
    tenant_client: Callable[..., Awaitable[AsyncClient]],
    drain: Callable[..., Awaitable[int]],
    database: Database,
    admin: asyncpg.Connection,
    teknav: Teknav,
) -> None:
    alone = await standing(owner)
    assert not alone["well"]
    assert alone["items"][0]["text"] == "No worker runs, so no job is done"
    assert "No worker runs" in (await owner.get(HOME)).text

    await begin_to_work(database)
    well = await standing(owner)
    assert well["well"] and well["summary"].startswith("All is well"), well["summary"]
    assert "All is well." in (await owner.get(HOME)).text
    assert "All is well" in await teknav("overview")

    # One thing after the other goes wrong.
    client = await tenant_client(*flows.SCOPES)
    await stage.ask(client, await stage.article(client, "An article without text", ""))
    question = {"type": "approval", "key": "ask", "title": "Shall it stay?", "expiresS": 3600}
    await flows.run(client, await flows.workflow(client, question))
    await drain(retries=True)
    await owner.post("/api/owner/queues/ai:seo/pause", json={"reason": "New rules"})
    mail = {"status": "failed", "template": "welcome", "template_version": 1, "recipient": "a@example.org"}
    tenant_id = await admin.fetchval("SELECT tenant_id FROM article LIMIT 1")
    names, marks = ", ".join(mail), ", ".join(f"${n}" for n in range(3, 3 + len(mail)))
    insert = f"INSERT INTO email_log (id, tenant_id, props, {names}) VALUES ($1, $2, '{{}}', {marks})"
    await admin.execute(insert, new_id(), tenant_id, *mail.values())

    found = await standing(owner)
    weights = [one["weight"] for one in found["items"]]
    assert weights == sorted(weights, key=["bad", "warn", "ok"].index), "the heaviest comes first"
    troubles = {one["part"]: one["text"] for one in found["items"] if one["weight"] != "ok"}
    assert troubles == {
        "AI": "1 AI run failed in the last hour, and none succeeded",
        "Mail": "1 mail could not be sent since yesterday",
        "Approvals": "1 approval will expire within a day",
        "Paused": "ai:seo is paused",
        "Dead letters": "1 dead letter in ai:content",
    }
    assert found["items"][0]["part"] == "AI" and not found["well"]
    assert all(text in found["summary"] for text in troubles.values())

    page = (await owner.get(HOME)).text
    fragment = await owner.get(f"{HOME}/signs", headers=HTMX)
    assert "<html" not in fragment.text and 'data-live="' in fragment.text
    for one in found["items"]:
        assert one["text"] in fragment.text or one["part"] == "PostgreSQL"
        if one["path"]:
            assert f'href="{HOME}{one["path"]}"'.replace("&", "&amp;") in page
            assert (await owner.get(f"{HOME}{one['path']}")).status_code == 200, one
    assert "asks for you" in found["summary"] or "ask for you" in found["summary"]
    assert json.loads(await teknav("workflows", "instances", "--json"))["items"][0]["status"] == "waiting"
    await teknav("overview", code=1)


async def test_the_standing_of_the_platform_is_not_a_tenants_to_see(
    tenant_client: Callable[..., Awaitable[AsyncClient]],
) -> None:
    client = await tenant_client()
    for place in (OVERVIEW, f"{HOME}/signs"):
        assert (await client.get(place)).status_code == 403
