"""What is asked of the counts, over the API."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
from httpx2 import AsyncClient

from app.core.database import Database
from app.core.ids import new_id
from tests.modules.analytics.stage import count
from tests.modules.conftest import Teknav

Client = Callable[..., Awaitable[AsyncClient]]
V1, OWNER = "/api/v1/analytics", "/api/owner/analytics"


async def ask(client: AsyncClient, address: str, status: int = 200, **params: Any) -> Any:
    answer = await client.get(address, params=params)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_tenant_and_the_owner_read_the_same_counts(
    tenant_client: Client,
    owner: AsyncClient,
    tenant: Any,
    make_tenant: Callable[[str], Awaitable[Any]],
    database: Database,
    drain: Callable[[], Awaitable[int]],
) -> None:
    scopes = ("events:write", "events:read", "analytics:read", "articles:read", "articles:write")
    app, other = await tenant_client(*scopes), await tenant_client(*scopes, of=await make_tenant("Far Shore"))
    told = await owner.patch(f"/api/owner/tenants/{tenant.id}", json={"timezone": "Pacific/Auckland"})
    assert told.status_code == 200 and told.json()["timezone"] == "Pacific/Auckland"
    assert (await owner.patch(f"/api/owner/tenants/{tenant.id}", json={"timezone": "Moon/Base"})).status_code == 422
    article = (await app.post("/api/v1/articles", json={"title": "Trout", "body": "They are back."})).json()["id"]
    now, zone = datetime.now(UTC), ZoneInfo("Pacific/Auckland")
    yesterday = now - timedelta(days=1)
    view = {"name": "page_view", "path": "/trout", "articleId": article, "durationMs": 2500}
    batch: list[dict[str, Any]] = [
        view | {"visitorId": "ann", "userId": "u-1", "country": "NZ"},
        view | {"visitorId": "ann", "userId": "u-1", "ts": yesterday.isoformat(), "eventId": str(new_id())},
        view | {"visitorId": "ben"},
        {"name": "signup", "visitorId": "ben", "path": "/join"},
        {"name": "page_view", "path": "/", "userAgent": "Examplebot/1.0"},
    ]
    assert (await app.post("/api/v1/events", json={"events": batch})).json()["accepted"] == 5
    assert (await other.post("/api/v1/events", json={"events": [view]})).json()["accepted"] == 1
    assert not (await ask(app, f"{V1}/series"))["upToDate"]
    await count(database, drain)

    series = await ask(app, f"{V1}/series", metric="views")
    assert (series["total"], series["upToDate"], series["timezone"], len(series["points"])) == (3, True, zone.key, 28)
    days = {point["day"]: point["value"] for point in series["points"] if point["value"]}
    assert days == {str(now.astimezone(zone).date()): 2, str(yesterday.astimezone(zone).date()): 1}
    hours = await ask(app, f"{V1}/series", metric="events", grain="hour")
    assert (hours["total"], len(hours["points"])) == (4, 28 * 24) or len(hours["points"]) in (28 * 24 - 1, 28 * 24 + 1)
    assert (await ask(app, f"{V1}/series", metric="visitors"))["total"] == 3
    part = await ask(app, f"{V1}/series", dimension="path", value="/trout")
    assert part["total"] == 3
    paths = await ask(app, f"{V1}/breakdown", metric="events", dimension="path")
    assert paths["items"] == [{"value": "/trout", "count": 3}, {"value": "/join", "count": 1}]
    read = (await ask(app, f"{V1}/articles"))["items"]
    assert [(one["title"], one["views"], one["engagedS"]) for one in read] == [("Trout", 3, 7)]
    readers = (await ask(app, f"{V1}/readers"))["items"]
    assert [(one["userId"], one["days"], one["views"]) for one in readers] == [("u-1", 2, 2)]
    events = (await ask(app, "/api/v1/events", path="/trout", isBot="false"))["items"]
    assert [event["name"] for event in events] == ["page_view"] * 3 and "visitor" in events[0]
    one = await ask(app, f"/api/v1/events/{events[0]['eventId']}", day=events[0]["ts"][:10])
    assert one == events[0]
    await ask(other, f"/api/v1/events/{events[0]['eventId']}", 404, day=events[0]["ts"][:10])

    assert (await ask(other, f"{V1}/series"))["total"] == 1
    assert (await ask(owner, f"{OWNER}/series"))["total"] == 4
    assert (await ask(owner, f"{OWNER}/series", tenantId=str(tenant.id)))["total"] == 3
    assert len((await ask(owner, "/api/owner/events"))["items"]) == 6
    await ask(owner, f"{OWNER}/series", 404, tenantId=str(new_id()))


async def test_a_question_that_makes_no_sense_is_refused(tenant_client: Client) -> None:
    app = await tenant_client("analytics:read", "events:read")
    for params, field in (
        ({"metric": "money"}, "metric"),
        ({"grain": "year"}, "grain"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "from"),
        ({"from": "2024-01-01", "to": "2026-03-01"}, "from"),
        ({"from": "2026-01-01", "to": "2026-03-01", "grain": "hour"}, "from"),
        ({"dimension": "shoe"}, "dimension"),
        ({"dimension": "path"}, "value"),
        ({"value": "x"}, "dimension"),
        ({"nope": "x"}, "nope"),
    ):
        answer = await ask(app, f"{V1}/series", 422, **params)
        assert [error["field"] for error in answer["errors"]] == [field]
    assert (await ask(app, f"{V1}/breakdown", 422))["errors"][0]["field"] == "dimension"
    assert (await ask(app, f"{V1}/articles", 422, limit=0))["errors"][0]["field"] == "limit"
    assert (await ask(app, "/api/v1/events", 422, isBot="perhaps"))["errors"][0]["field"] == "isBot"


async def test_the_command_counts_days_anew(
    teknav: Teknav,
    tenant_client: Client,
    tenant: Any,
    admin: asyncpg.Connection,
    database: Database,
    drain: Callable[[], Awaitable[int]],
) -> None:
    app = await tenant_client("events:write", "analytics:read")
    for back in (0, 1, 2):
        ts = (datetime.now(UTC) - timedelta(days=back, seconds=1)).isoformat()
        event = {"name": "page_view", "ts": ts, "visitorId": "ann", "articleId": str(new_id())}
        assert (await app.post("/api/v1/events", json={"events": [event]})).status_code == 202
    await count(database, drain)
    before = await ask(app, f"{V1}/series")
    # Whatever happened to the counts: they are made of the events again, and those of older days stay.
    await admin.execute("UPDATE analytics_aggregate SET value = 99")
    await admin.execute("DELETE FROM article_stats_daily")
    first, last = (f"{datetime.now(UTC) - timedelta(days=back):%Y-%m-%d}" for back in (9, 0))
    await admin.execute(
        "INSERT INTO analytics_aggregate (tenant_id, metric, grain, bucket_utc, dims_hash, dims, value, site_day) "
        "VALUES ($1, 'views', 'day', now() - interval '8 days', '', '{}', 7, current_date - 8)",
        tenant.id,
    )
    told = await teknav("analytics", "rebuild", "--tenant", tenant.slug, "--from", first, "--to", last)
    assert told == f"3 days of {tenant.slug} are counted anew.\n"
    after = await ask(app, f"{V1}/series")
    assert after["total"] == before["total"] + 7 == 10
    assert len((await ask(app, f"{V1}/articles"))["items"]) == 3
    wrong = await teknav("analytics", "rebuild", "--tenant", "nobody", "--from", first, "--to", last, code=1)
    assert "no such tenant" in wrong
    told = await teknav("tenant", "timezone", tenant.slug, "Europe/Berlin")
    assert told == "The days of Harbour Press are those of Europe/Berlin now.\n"
    assert (await ask(app, f"{V1}/series"))["timezone"] == "Europe/Berlin"
