"""Events as tenants' apps send them: all or none, once each, and nothing kept that names an address."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.database import Database
from app.core.ids import new_id
from tests.modules.analytics.stage import count

Client = Callable[..., Awaitable[AsyncClient]]
EVENTS = "/api/v1/events"
BROWSER = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


@pytest.mark.promise("S4-13")
async def test_events_count_once_and_keep_no_address(
    tenant_client: Client, admin: asyncpg.Connection, database: Database, drain: Callable[[], Awaitable[int]]
) -> None:
    app = await tenant_client("events:write")
    first = {"eventId": str(new_id()), "name": "page_view", "path": "/", "ts": ago(seconds=5)}
    reader = {"ip": "203.0.113.77", "userAgent": BROWSER, "referrer": "https://www.example.org/search?q=trout"}
    bot = {"name": "page_view", "userAgent": "Mozilla/5.0 (compatible; Examplebot/2.1)", "ip": "198.51.100.9"}
    batch = {"events": [first | reader, {"name": "page_view"} | reader, bot]}
    answer = await app.post(EVENTS, json=batch)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 3, "duplicates": 0})
    again = await app.post(EVENTS, json={"events": [first | reader, first]})
    assert again.json() == {"accepted": 0, "duplicates": 2}

    rows = await admin.fetch("SELECT * FROM analytics_event ORDER BY is_bot")
    assert [(row["device"], row["referrer"], row["is_bot"]) for row in rows] == [
        ("mobile", "example.org", False),
        ("mobile", "example.org", False),
        ("desktop", None, True),
    ]
    assert rows[0]["visitor"] == rows[1]["visitor"] != rows[2]["visitor"]
    kept = await admin.fetchval("SELECT string_agg(e::text, ' ') FROM analytics_event e")
    assert "203.0.113" not in kept and "iPhone" not in kept and "trout" not in kept
    await count(database, drain)
    total = "SELECT metric, sum(value)::int FROM analytics_aggregate WHERE grain = 'hour' AND dims = '{}' GROUP BY 1"
    counted = {row[0]: row[1] for row in await admin.fetch(total)}
    assert counted["views"] == 2 and counted["bots"] == 1 and 1 <= counted["visitors"] <= 2


async def test_one_wrong_event_keeps_all_out_and_is_named(tenant_client: Client, admin: asyncpg.Connection) -> None:
    app = await tenant_client("events:write")
    good = {"name": "page_view"}
    for wrong, field in (
        ({"name": "Page View"}, "events[1].name"),
        ({}, "events[1].name"),
        ({"name": "x", "nope": 1}, "events[1].nope"),
        ({"name": "x", "ts": ago(days=29)}, "events[1].ts"),
        ({"name": "x", "ts": ago(hours=-1)}, "events[1].ts"),
        ({"name": "x", "ts": "2026-01-01T00:00:00"}, "events[1].ts"),
        ({"name": "x", "eventId": str(new_id())}, "events[1].ts"),
        ({"name": "x", "ip": "somewhere"}, "events[1].ip"),
        ({"name": "x", "referrer": "javascript:alert(1)"}, "events[1].referrer"),
        ({"name": "x", "props": {"a": {}}}, "events[1].props"),
        ({"name": "x", "durationMs": -1}, "events[1].durationMs"),
    ):
        answer = await app.post(EVENTS, json={"events": [good, wrong]})
        named = [error["field"] for error in answer.json()["errors"]]
        assert (answer.status_code in (400, 422), [one.startswith(field) for one in named]) == (True, [True]), (
            wrong,
            answer.text,
        )
    many = await app.post(EVENTS, json={"events": [{"name": "x", "ip": "?"}] * 40})
    assert len(many.json()["errors"]) == 20
    assert (await app.post(EVENTS, json={"events": []})).status_code in (400, 422)
    assert (await app.post(EVENTS, json={"events": [good] * 1001})).status_code in (400, 422)
    long: dict[str, Any] = {"name": "x", "path": "/" + "a" * 900}
    assert (await app.post(EVENTS, json={"events": [long | {"props": {"a": "b" * 490}}] * 999})).status_code == 413
    assert (await app.post(EVENTS, json={"events": [{"name": "x", "path": "/\0"}]})).status_code == 422
    assert await admin.fetchval("SELECT count(*) FROM analytics_event") == 0
    assert await admin.fetchval("SELECT count(*) FROM analytics_mark") == 0
    assert (await (await tenant_client("articles:read")).post(EVENTS, json={"events": [good]})).status_code == 403
