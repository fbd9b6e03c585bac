"""Quotas: what a tenant may use at most is refused beyond that, exactly, and shown with its use."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import pytest
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core import limits
from app.core.database import Database, Plane, Scope
from app.core.ids import new_id
from app.core.settings import Settings
from app.main import create_app
from tests.conftest import ORIGIN, Made, Person, TenantClient
from tests.modules.ai.stage import article, ask

PATH = "/api/owner/tenants"
HTMX = {"HX-Request": "true"}


async def bound(owner: AsyncClient, tenant: Made, **most: int | None) -> dict[str, tuple[int | None, int | None]]:
    """What is used and may be used, after a change."""
    changed = await owner.patch(f"{PATH}/{tenant.id}/quotas", json={"quotas": most})
    assert changed.status_code == 200, changed.text
    return {item["name"]: (item["used"], item["most"]) for item in changed.json()["items"]}


async def test_a_tenant_has_as_many_articles_as_it_may_however_they_come(
    owner: AsyncClient, tenant: Made, tenant_client: TenantClient, admin: asyncpg.Connection
) -> None:
    program = await tenant_client()
    await article(program)
    assert (await bound(owner, tenant, articles=4))["articles"] == (1, 4)
    new = [program.post("/api/v1/articles", json={"title": f"A{n}", "body": "b"}) for n in range(8)]
    answers = await asyncio.gather(*new)
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 5
    refused = next(answer for answer in answers if answer.status_code == 409).json()
    assert refused["code"] == "quota_exceeded"
    assert refused["detail"] == "Articles: this tenant may have 4 and has 4"
    assert await admin.fetchval("SELECT count(*) FROM article") == 4
    made = next(answer for answer in answers if answer.status_code == 201)
    await program.delete(made.headers["location"])
    assert (await program.post("/api/v1/articles", json={"title": "B", "body": "b"})).status_code == 201
    assert (await bound(owner, tenant, articles=2))["articles"] == (4, 2)
    assert (await program.post("/api/v1/articles", json={"title": "C", "body": "b"})).status_code == 409
    assert (await bound(owner, tenant, articles=None))["articles"] == (4, None)
    assert (await program.post("/api/v1/articles", json={"title": "C", "body": "b"})).status_code == 201


async def test_jobs_in_flight_and_the_months_spending_are_bounded_before_work_is_taken_on(
    owner: AsyncClient, tenant: Made, tenant_client: TenantClient, drain: Any, admin: asyncpg.Connection
) -> None:
    program = await tenant_client()
    ids = [await article(program, f"Article {n}") for n in range(3)]
    await bound(owner, tenant, jobsInFlight=1)
    answers = await asyncio.gather(*(program.post(f"/api/v1/articles/{each}/summaries") for each in ids))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409], "all at once, for the last place"
    refused = next(answer for answer in answers if answer.status_code == 409).json()
    assert (refused["code"], refused["detail"]) == (
        "quota_exceeded",
        "Jobs in flight: this tenant may have 1 and has 1",
    )
    assert await admin.fetchval("SELECT count(*) FROM ai_task") == 1
    await drain()
    await ask(program, ids[1])
    await drain()
    await admin.execute("UPDATE ai_run SET cost = 0.0051")
    assert (await bound(owner, tenant, aiCentsPerMonth=3))["aiCentsPerMonth"] == (2, 3)
    await ask(program, ids[2])
    await drain()
    await admin.execute("UPDATE ai_run SET cost = 0.01")
    spent = await program.post(f"/api/v1/articles/{ids[0]}/summaries")
    assert (spent.status_code, spent.json()["detail"]) == (409, "AI spend per month: this tenant may have 3 and has 3")
    await bound(owner, tenant, aiCentsPerMonth=10)
    asked = (await program.post(f"/api/v1/articles/{ids[0]}/summaries")).json()["id"]
    await bound(owner, tenant, aiCentsPerMonth=3)
    again = await program.post(f"/api/v1/articles/{ids[0]}/summaries")
    assert (again.status_code, again.json()["id"]) == (202, asked), "what is under way costs nothing more"


async def test_calls_of_all_programs_of_a_tenant_are_counted_together(
    owner: AsyncClient, tenant: Made, tenant_client: TenantClient, settings: Settings
) -> None:
    one, two = await tenant_client("articles:read"), await tenant_client("articles:read")
    await bound(owner, tenant, apiCallsPerDay=3)
    app = create_app(msgspec.structs.replace(settings, enable_rate_limit=True))
    transport = ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with AsyncClient(transport=transport, base_url=ORIGIN) as client:

        async def call(program: AsyncClient) -> Any:
            headers = {"Authorization": program.headers["Authorization"]}
            return await client.get("/api/v1/articles", headers=headers)

        assert [(await call(program)).status_code for program in (one, two, one)] == [200] * 3
        refused = await call(two)
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
        assert refused.json()["detail"].startswith("API calls per day: "), refused.text
        assert int(refused.headers["retry-after"]) > 80_000
        assert (await bound(owner, tenant, apiCallsPerDay=4))["apiCallsPerDay"] == (3, 4)
        assert (await call(two)).status_code == 200
        await bound(owner, tenant, apiCallsPerDay=0)
        assert (await call(two)).status_code == 429
    await app.state.process.close()


async def test_what_a_programs_plan_refuses_is_not_taken_from_its_tenants_day(
    owner: AsyncClient,
    tenant: Made,
    tenant_client: TenantClient,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "PLANS", {**limits.PLANS, "standard": (limits.Window(2, limits.DAY_S),)})
    one, two = await tenant_client("articles:read"), await tenant_client("articles:read")
    await bound(owner, tenant, apiCallsPerDay=3)
    app = create_app(msgspec.structs.replace(settings, enable_rate_limit=True))
    transport = ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with AsyncClient(transport=transport, base_url=ORIGIN) as client:

        async def call(program: AsyncClient) -> int:
            headers = {"Authorization": program.headers["Authorization"]}
            return (await client.get("/api/v1/articles", headers=headers)).status_code

        assert [await call(one) for _ in range(4)] == [200, 200, 429, 429]
        assert await call(two) == 200
        assert (await bound(owner, tenant, apiCallsPerDay=3))["apiCallsPerDay"] == (3, 3)
    await app.state.process.close()


async def test_what_is_no_quota_is_named_and_nothing_changes(
    owner: AsyncClient, tenant: Made, admin: asyncpg.Connection
) -> None:
    for wrong, field in (
        ({"articles": 5, "elephants": 1}, "elephants"),
        ({"articles": -1}, "articles"),
        ({}, "quotas"),
    ):
        answer = await owner.patch(f"{PATH}/{tenant.id}/quotas", json={"quotas": wrong})
        assert answer.status_code == 422 and field in answer.text
    assert await admin.fetchval("SELECT count(*) FROM tenant_quota") == 0
    missing = await owner.patch(f"{PATH}/{tenant.id.hex[:-4]}dead/quotas", json={"quotas": {"articles": 1}})
    assert missing.status_code == 404


async def test_a_tenant_may_read_its_quotas_and_not_set_them(
    database: Database, tenant: Made, owner: AsyncClient
) -> None:
    await bound(owner, tenant, articles=1)
    scope = Scope(Plane.TENANT, tenant.id)
    async with database.transaction(scope) as session:
        assert await session.scalar(text("SELECT most FROM tenant_quota")) == 1
    for statement in ("UPDATE tenant_quota SET most = 9", "DELETE FROM tenant_quota"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with database.transaction(scope) as session:
                await session.execute(text(statement))


@pytest.mark.promise("S4-49")
async def test_the_page_shows_use_and_changes_quotas(
    owner: AsyncClient, tenant: Made, tenant_client: TenantClient, admin: asyncpg.Connection
) -> None:
    await article(await tenant_client())
    page = f"/dashboard/owner/tenants/{tenant.id}"
    assert "no limit" in (await owner.get(page)).text
    changed = await owner.post(f"{page}/quotas", data={"articles": "4", "aiCentsPerMonth": "1250"}, headers=HTMX)
    assert changed.status_code == 200 and 'id="tenant"' in changed.text
    assert "1 of 4" in changed.text and "$0.00 of $12.50" in changed.text
    wrong = await owner.post(f"{page}/quotas", data={"articles": "many"}, headers=HTMX)
    assert wrong.status_code == 422 and 'data-field="articles"' in wrong.text
    query = "SELECT before, after FROM audit_log WHERE action = 'owner.quota.update' AND outcome = 'success'"
    before, after = (msgspec.json.decode(value) for value in await admin.fetchrow(query))
    assert before == {"articles": None, "aiCentsPerMonth": None}
    assert after == {"articles": 4, "aiCentsPerMonth": 1250}


@pytest.mark.promise("S4-49")
async def test_members_see_their_workspaces_and_what_the_tenant_may_use(
    owner: AsyncClient, tenant: Made, member: Person, make_tenant: Callable[..., Awaitable[Made]]
) -> None:
    await owner.patch(f"{PATH}/{tenant.id}/quotas", json={"quotas": {"members": 40, "fileBytes": 5 * 2**20}})
    place = f"/dashboard/t/{tenant.slug}/workspaces"
    admin_of_it = await member("chief@example.org", "admin")
    shown = (await admin_of_it.get(place)).text
    for words in ("Members", "Articles", "AI spend per month", "Jobs in flight", "API calls per day", "Mails per day"):
        assert words in shown
    assert re.search(r"1\s+of 40", shown) and "of 5 MB" in shown and "Main" in shown
    assert f'href="/dashboard/t/{tenant.slug}/members?workspaceId=' in shown and "Change" not in shown
    await owner.post(f"{PATH}/{tenant.id}/workspaces", json={"name": "Maps"})
    for query, names in (("q=AP", ["Maps"]), ("sort=name", ["Main", "Maps"]), ("sort=-name", ["Maps", "Main"])):
        found = (await admin_of_it.get(f"{place}?{query}", headers={"HX-Request": "true"})).text
        assert re.findall(r'aria-label="Members of (\w+)"', found) == names and "<html" not in found, query
    assert "No workspace fits" in (await admin_of_it.get(f"{place}?q=nothing")).text
    assert (await admin_of_it.get(f"{place}?sort=slug")).status_code == 422
    reader, of_programs = await member("reader@example.org", "viewer"), await member("programs@example.org", "operator")
    assert (await reader.get(place)).status_code == 403
    assert (await of_programs.get(place)).status_code == 200
    # Each workspace opens in the drawer, to look at only; another tenant's is missing.
    maps = (await owner.get(f"{PATH}/{tenant.id}/workspaces?q=maps")).json()["items"][0]["id"]
    assert f'hx-get="{place}/{maps}"' in (await admin_of_it.get(place)).text
    drawer = (await admin_of_it.get(f"{place}/{maps}", headers={"HX-Request": "true"})).text
    assert "<html" not in drawer and "<dd>maps</dd>" in drawer and f'href="{place}/{maps}"' in drawer
    assert f"/dashboard/t/{tenant.slug}/members?workspaceId={maps}" in drawer
    assert "Save" not in drawer and "/dashboard/owner" not in drawer
    page = (await admin_of_it.get(f"{place}/{maps}")).text
    assert "<html" in page and "/dashboard/owner" not in page
    theirs = await make_tenant("Other Press")
    other = (await owner.get(f"{PATH}/{theirs.id}/workspaces")).json()["items"][0]["id"]
    assert [(await admin_of_it.get(f"{place}/{id_}")).status_code for id_ in (other, new_id())] == [404, 404]
    assert (await reader.get(f"{place}/{maps}")).status_code == 403
    members = (await of_programs.get(f"{place}/{maps}", headers={"HX-Request": "true"})).text
    assert "workspaceId=" not in members, "who may not see members is not led to them"
