"""A version goes to readers at its moment: once, and however the draft went on."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from httpx2 import AsyncClient

from app.core.database import Database
from app.queues.inline import drain as drain_record
from app.queues.runner import Runner
from tests.modules.articles.test_article_api import HERE, Clients, post

HTMX = {"HX-Request": "true"}
Drain = Callable[..., Awaitable[int]]


def later(**delta: int) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


async def test_the_pinned_version_goes_out_while_the_draft_goes_on(
    tenant_client: Clients, drain: Drain, admin: asyncpg.Connection, tenant: Any
) -> None:
    app = await tenant_client()
    made = await post(app, title="Tides")
    here = f"{HERE}/{made['id']}"
    planned = await app.post(f"{here}/releases", json={"action": "publish", "at": later(hours=2)})
    assert planned.status_code == 201, planned.text
    release = planned.json()
    assert (release["version"], release["status"]) == (1, "scheduled")
    again = await app.post(f"{here}/releases", json={"action": "publish", "at": later(hours=3)})
    assert (again.status_code, again.json()["code"]) == (409, "already_scheduled")
    away = await app.post(f"{here}/releases", json={"action": "unpublish", "at": later(hours=4)})
    assert (away.status_code, away.json()["version"]) == (201, None)
    await app.patch(here, json={"title": "Neap tides"})
    await drain()
    assert (await app.get(f"{here}/publication")).status_code == 404, "its moment has not come"
    await admin.execute("UPDATE job SET run_at = now() WHERE id = $1", release["jobId"])
    await drain()
    seen, article = (await app.get(f"{here}/publication")).json(), (await app.get(here)).json()
    assert (seen["title"], article["title"], article["status"]) == ("Tides", "Neap tides", "draft")
    listed = (await app.get(f"{here}/releases")).json()["items"]
    assert [one["status"] for one in listed] == ["scheduled", "completed"]
    row = await admin.fetchrow("SELECT reason, tenant_id FROM audit_log WHERE action = 'article.publish'")
    assert row["reason"].startswith("Scheduled by test") and row["tenant_id"] == tenant.id
    assert (await app.delete(f"{here}/releases/{release['id']}")).json()["code"] == "release_over"
    for _ in range(2):
        assert (await app.delete(f"{here}/releases/{away.json()['id']}")).status_code == 204
    assert await admin.fetchval("SELECT state FROM job WHERE id = $1", away.json()["jobId"]) == "cancelled"
    assert (await app.get(f"{here}/releases", params={"status": "scheduled"})).json()["items"] == []
    other = await post(app)
    assert (await app.delete(f"{HERE}/{other['id']}/releases/{release['id']}")).status_code == 404


async def test_what_cannot_be_planned_names_its_field(tenant_client: Clients, admin: asyncpg.Connection) -> None:
    app, writer = await tenant_client(), await tenant_client("articles:read", "articles:write")
    here = f"{HERE}/{(await post(app))['id']}/releases"
    for wish, status, field in (
        ({"action": "publish", "at": later(hours=-1)}, 422, "at"),
        ({"action": "publish", "at": "2999-01-01T00:00:00"}, 422, "at"),
        ({"action": "publish", "at": later(days=100_000)}, 422, "runAt"),
        ({"action": "vanish", "at": later(hours=1)}, 422, "action"),
        ({"action": "publish", "at": later(hours=1), "version": 7}, 404, "version"),
        ({"action": "unpublish", "at": later(hours=1), "version": 1}, 422, "version"),
    ):
        answer = await app.post(here, json=wish)
        assert (answer.status_code, field in answer.json()["detail"]) == (status, True), answer.text
    assert (await writer.post(here, json={"action": "publish", "at": later(hours=1)})).status_code == 403
    assert await admin.fetchval("SELECT count(*) FROM release") == 0
    assert await admin.fetchval("SELECT count(*) FROM job WHERE kind = 'release_article'") == 0


async def test_a_release_that_cannot_be_done_says_why_and_may_be_tried_again(
    tenant_client: Clients, database: Database, runner: Runner, owner: AsyncClient, admin: asyncpg.Connection
) -> None:
    app = await tenant_client()
    first, second = await post(app, slug="tides"), await post(app, title="Winds")
    await app.post(f"{HERE}/{first['id']}/publication")
    await app.patch(f"{HERE}/{first['id']}", json={"slug": "neap"})
    await app.patch(f"{HERE}/{second['id']}", json={"slug": "tides"})
    here = f"{HERE}/{second['id']}/releases"
    wish = (await app.post(here, json={"action": "publish", "at": later(minutes=1)})).json()
    hour = datetime.now(UTC) + timedelta(hours=1)
    await drain_record(database, runner, until=hour)
    failed = (await app.get(here)).json()["items"][0]
    assert (failed["status"], failed["error"]) == ("failed", "slug: another article has it")
    await app.post(f"{HERE}/{first['id']}/publication")
    assert (await owner.post(f"/api/owner/queues/platform:tasks/dlq/{wish['jobId']}/replay")).status_code < 300
    await drain_record(database, runner, until=hour)
    assert (await app.get(here)).json()["items"][0]["status"] == "completed"
    assert (await app.get(f"{HERE}/{second['id']}/publication")).json()["slug"] == "tides"


async def test_releases_are_planned_and_taken_back_on_pages(
    tenant_client: Clients, owner: AsyncClient, member: Any, tenant: Any
) -> None:
    made = await post(await tenant_client())
    anna = await member("anna@example.org", "editor")
    at = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    for person, prefix, home in (
        (owner, "/dashboard/owner", f"/dashboard/owner/tenants/{tenant.id}"),
        (anna, f"/dashboard/t/{tenant.slug}", f"/dashboard/t/{tenant.slug}"),
    ):
        here = f"{home}/articles/{made['id']}/releases"
        assert "Nothing is planned" in (await person.get(here)).text or person is anna
        for wrong in ({"at": "soon"}, {"at": at, "version": "x"}):
            assert (await person.post(here, data={"action": "publish"} | wrong)).status_code == 422
        done = await person.post(here, data={"action": "publish", "at": at, "version": ""}, headers=HTMX)
        assert done.status_code == 200 and "Publish version 1" in done.text, done.text
        listed = (await person.get(f"{prefix}/releases", params={"status": "scheduled"})).text
        assert "Tides" in listed and f"{prefix}/articles/{made['id']}" in listed
        cancel = done.text.split(f'hx-post="{here}/')[1].split('"')[0]
        back = await person.post(f"{here}/{cancel}", headers=HTMX)
        assert back.status_code == 200 and 'data-state="cancelled"' in back.text
    assert (await owner.get("/dashboard/owner/releases", params={"status": "odd"})).status_code == 422
