"""What one request set going, from the change to the last attempt."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.ids import new_id
from app.core.trace import Step
from app.modules.traces.pages import LEAST, bars
from tests.modules.ai import stage

TenantClient = Callable[..., Awaitable[AsyncClient]]


@pytest.mark.promise("S4-71")
async def test_a_trace_leads_from_the_request_through_job_and_attempt_to_the_ai_run(
    tenant_client: TenantClient,
    owner: AsyncClient,
    drain: Callable[..., Awaitable[int]],
    admin: asyncpg.Connection,
    teknav: Callable[..., Awaitable[str]],
) -> None:
    tenant = await tenant_client()
    article = await stage.article(tenant)
    await tenant.post(f"/api/v1/articles/{article}/summaries")
    trace = await admin.fetchval("SELECT correlation_id FROM job WHERE kind = 'summarize_article'")
    address = f"/api/owner/traces/{trace}"
    waiting = (await owner.get(address)).json()
    assert waiting["open"]
    await drain()
    found: dict[str, Any] = (await owner.get(address)).json()
    kinds = [(one["kind"], one["status"]) for one in found["items"]]
    assert ("job", "completed") in kinds and ("attempt", "completed") in kinds and ("AI run", "completed") in kinds
    assert {one["label"] for one in found["items"] if one["kind"] == "change"} >= {"ai.task.complete"}
    assert found["open"] is False
    moments = [one["beganAt"] for one in found["items"]]
    assert moments == sorted(moments)

    page = await owner.get(f"/dashboard/owner/traces/{trace}")
    assert page.status_code == 200
    job = await admin.fetchval("SELECT id FROM job WHERE correlation_id = $1", trace)
    assert f"/dashboard/owner/queues/ai:content/jobs/{job}" in page.text
    assert (
        f"/dashboard/owner/traces/{trace}" in (await owner.get(f"/dashboard/owner/queues/ai:content/jobs/{job}")).text
    )

    told = json.loads(await teknav("trace", str(trace), "--json"))
    assert [one["label"] for one in told["items"]] == [one["label"] for one in found["items"]]
    assert "AI run" in await teknav("trace", str(trace))
    seen = await admin.fetch("SELECT resource_id FROM data_access_log WHERE action = 'owner.read.trace'")
    assert {row["resource_id"] for row in seen} == {str(trace)} and len(seen) == 5


async def test_what_nobody_knows_is_missing(owner: AsyncClient, teknav: Callable[..., Awaitable[str]]) -> None:
    nobody = new_id()
    assert (await owner.get(f"/api/owner/traces/{nobody}")).status_code == 404
    assert "no trace" in await teknav("trace", str(nobody), code=1)


def test_a_bar_lies_where_its_step_did_and_a_moment_can_be_seen() -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    at = [begin + timedelta(seconds=n) for n in range(11)]
    steps = [
        Step("change", "a", "success", at[0]),
        Step("job", "b", "completed", at[2], at[7]),
        Step("job", "c", "active", at[5], open=True),
    ]
    moment, ended, still = bars(steps, at[10])
    assert (moment.x, moment.width, moment.took_ms) == (0, LEAST, None)
    assert (ended.x, ended.width, ended.took_ms) == (20, 50, 5000)
    assert (still.x, still.width, still.took_ms) == (50, 50, 5000)
