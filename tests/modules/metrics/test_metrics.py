"""`/metrics` as Prometheus reads it, with a token of the platform."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from httpx2 import AsyncClient
from litestar import Litestar
from msgspec.structs import replace

from app.core.database import Database
from app.core.ids import PLATFORM_TENANT
from app.core.metrics import Metric, Sample, exposition
from app.core.policy import Actor
from app.core.settings import Settings
from app.modules.cache.service import measured
from app.modules.tokens.service import TokenService
from app.process import Process
from tests.modules.ai.stage import article, start

LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)+)\})? (-?[0-9.e+-]+)')
PARTS = re.compile("_(bucket|sum|count)$")


def read(text: str) -> dict[str, dict[str, float]]:
    """Samples by metric and labels. Every line has to be one that Prometheus understands."""
    found: dict[str, dict[str, float]] = {}
    typed: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram") and name not in typed
            assert (kind == "counter") == name.endswith("_total")
            typed.add(name)
        elif not line.startswith("# HELP "):
            match = LINE.fullmatch(line)
            assert match, line
            assert match[1] in typed or PARTS.sub("", match[1]) in typed
            assert (match[2] or "") not in found.setdefault(match[1], {}), line
            found[match[1]][match[2] or ""] = float(match[3])
    return found


@pytest.mark.promise("S4-42")
async def test_a_scraper_sees_queues_cache_and_redis(
    app: Litestar,
    database: Database,
    operator: Actor,
    owner: AsyncClient,
    client: AsyncClient,
    tenant_client: Callable[..., Awaitable[AsyncClient]],
    drain: Callable[..., Awaitable[int]],
) -> None:
    program = await tenant_client()
    await start(program, "quality_check", await article(program))
    await drain()
    await owner.post("/api/owner/queues/ai:seo/pause")
    for _ in range(3):
        await owner.get("/api/owner/queues", headers={"Cache-Control": "max-age=9"})
    async with database.transaction(operator.scope) as session:
        _, secret = await TokenService(session, operator).create(PLATFORM_TENANT, name="m", scopes=["metrics:read"])
    answer = await client.get("/metrics", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = read(answer.text)
    assert found["teknav_queue_paused"]['queue="ai:seo"'] == 1
    assert found["teknav_queue_paused"]['queue="ai:content"'] == 0
    assert {"teknav_queue_waiting", "teknav_queue_active", "teknav_queue_dead"} <= set(found)
    assert found["teknav_jobs_ended_total"]['queue="ai:content",outcome="completed"'] == 1
    assert found["teknav_jobs_ended_total"]['queue="ai:seo",outcome="dead"'] == 0
    assert found["teknav_job_retries_total"]['queue="ai:content"'] == 0
    assert found["teknav_ai_month_runs"] == {'model="rules-1"': 1}
    assert found["teknav_ai_month_cost_dollars"] == {'model="rules-1"': 0}
    assert found["teknav_redis_up"] == {"": 1}
    assert found["teknav_cache_hits_total"]['kind="owner:queues:answers",from="memory"'] >= 2
    assert found["teknav_cache_loads_total"]['kind="owner:queues:answers"'] >= 1
    asked = 'method="GET",route="/api/owner/queues",'
    assert found["teknav_http_requests_total"][f'{asked}status="200"'] >= 3
    assert found["teknav_http_request_seconds_count"][asked[:-1]] >= 3
    assert found["teknav_http_request_seconds_bucket"][f'{asked}le="+Inf"'] >= 3
    assert 0 < found["teknav_http_request_seconds_sum"][asked[:-1]] < 60
    here = 'link="queues"'
    assert {*found["teknav_redis_connections_total"]} == {here}, "the cache has no other link here"
    assert found["teknav_redis_connections_total"][here] >= 1
    assert found["teknav_redis_commands_total"][here] >= found["teknav_redis_writes_total"][here] > 0
    traffic = app.state.process.queue_redis.traffic  # of all tests before this one, too
    assert found["teknav_redis_timeouts_total"][here] == traffic.timeouts
    assert (await client.get("/metrics")).status_code == 401
    await client.get("/nowhere/at/all")
    again = read((await client.get("/metrics", headers={"Authorization": f"Bearer {secret}"})).text)
    assert not any("nowhere" in labels for labels in again["teknav_http_requests_total"])
    assert (await (await tenant_client()).get("/metrics")).status_code == 403


@pytest.mark.parametrize(
    ("changed", "links"),
    [
        ({}, {"queues"}),
        ({"cache_redis_url": "redis://127.0.0.1:9/0"}, {"cache", "queues"}),
        ({"enable_queue": False}, {"cache"}),
    ],
)
async def test_each_link_to_redis_is_counted_once(
    settings: Settings, operator: Actor, changed: dict[str, Any], links: set[str]
) -> None:
    process = Process.open(replace(settings, **changed))
    try:
        async with process.database.transaction(operator.scope) as session:
            found = {metric.name: metric for metric in await measured(session)}
    finally:
        await process.close()
    assert {sample.labels["link"] for sample in found["redis_commands_total"].samples} == links


def test_labels_and_texts_are_escaped() -> None:
    odd = Metric("odd", "gauge", "two\nlines \\ one", [Sample(1.5, {"label": 'a "b" \\ c\n'}), Sample(2)])
    assert exposition([odd]) == (
        "# HELP teknav_odd two\\nlines \\\\ one\n# TYPE teknav_odd gauge\n"
        'teknav_odd{label="a \\"b\\" \\\\ c\\n"} 1.5\nteknav_odd 2\n'
    )
