"""Tenants are apart, and a wall that is missing is found: the suite that owners run, against planted breaches."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient
from sqlalchemy import ARRAY

from app.core.database import Database
from app.core.ids import PLATFORM_TENANT, new_id
from app.core.models import Base
from app.modules.isolation.repository import MINE, THEIRS, examine, sample
from app.modules.isolation.schemas import Case, Result
from tests.conftest import Made

RUNS, PAGE = "/api/owner/isolation/runs", "/dashboard/owner/isolation"
HTMX = {"HX-Request": "true"}
# Why there may be no row of the sandbox's own. That the sample is refused for what it holds is none.
WITHOUT_OWN = {"tenants may not write here", "it points at what tenants cannot make"}


def by_result(cases: list[Case], result: Result) -> list[str]:
    return [f"{case.subject}: {case.tried} as {case.context}: {case.found}" for case in cases if case.result is result]


@pytest.fixture
async def inhabited(admin: asyncpg.Connection, tenant: Made) -> dict[str, int]:
    """A row of a real tenant in every table, so that there is something to see."""
    parents: dict[str, dict[str, Any]] = {"tenant": {"id": tenant.id}}
    async with admin.transaction():
        await admin.execute("SET LOCAL session_replication_role = replica")  # a key may point nowhere
        for table in Base.metadata.sorted_tables:
            if table.name in ("tenant", "alembic_version"):
                continue
            owner = tenant.id if "tenant_id" in table.columns else None
            row, _ = sample(table, owner, parents)
            parents[table.name] = row
            arrays = {column.name for column in table.columns if isinstance(column.type, ARRAY)}
            values = [
                json.dumps(value) if isinstance(value, (dict, list)) and name not in arrays else value
                for name, value in row.items()
            ]
            names = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join(f"${n}" for n in range(1, len(row) + 1))
            await admin.execute(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', *values)
    return {name: await admin.fetchval(f'SELECT count(*) FROM "{name}"') for name in parents}


@pytest.mark.promise("S1-28")
async def test_nothing_of_another_tenant_can_be_seen_changed_or_made(
    database: Database, admin: asyncpg.Connection, inhabited: dict[str, int]
) -> None:
    assert all(inhabited.values())
    cases = await examine(database)
    assert by_result(cases, Result.BREACHED) == []
    tables = Base.metadata.tables
    assert {case.subject for case in cases} >= set(tables)
    for name, table in tables.items():
        own = [case for case in cases if case.subject == name]
        commands = {case.tried.split()[0] for case in own}
        assert commands >= {"SELECT", "INSERT", "UPDATE", "DELETE"}, name
        if "tenant_id" in table.columns:
            assert {case.context for case in own} >= {"another tenant", "no tenant", "not an id"}, name
    skipped = {case.subject: case.found for case in cases if case.result is Result.SKIPPED}
    assert set(skipped.values()) <= WITHOUT_OWN, skipped
    assert {"article", "workspace", "ai_run", "job"} & skipped.keys() == set()
    assert len(cases) > 200
    for name, count in inhabited.items():
        assert await admin.fetchval(f'SELECT count(*) FROM "{name}"') == count, f"{name}: all is taken back"
    sandbox = [MINE, THEIRS]
    assert await admin.fetchval("SELECT count(*) FROM tenant WHERE id = ANY($1)", sandbox) == 0


async def test_what_somebody_put_into_the_sandbox_goes_with_it(database: Database, admin: asyncpg.Connection) -> None:
    await admin.execute("INSERT INTO tenant (id, name, slug) VALUES ($1, 'Left behind', 'left-behind')", THEIRS)
    await admin.execute(
        "INSERT INTO workspace (id, tenant_id, name, slug) VALUES ($1, $2, 'Made meanwhile', 'w')", new_id(), THEIRS
    )
    assert by_result(await examine(database), Result.BREACHED) == []
    for table, column in (("tenant", "id"), ("workspace", "tenant_id")):
        assert await admin.fetchval(f"SELECT count(*) FROM {table} WHERE {column} = $1", THEIRS) == 0


BREACHES = {
    "row-level security is off": (
        "ALTER TABLE article DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE article ENABLE ROW LEVEL SECURITY",
        "article: SELECT as another tenant",
    ),
    "a second policy lets everybody read": (
        "CREATE POLICY wide ON workspace FOR SELECT TO teknav_tenant USING (true)",
        "DROP POLICY wide ON workspace",
        "workspace: SELECT as no tenant",
    ),
    "a second policy lets everybody delete": (
        "CREATE POLICY wide ON article FOR DELETE TO teknav_tenant USING (true)",
        "DROP POLICY wide ON article",
        "article: DELETE as another tenant",
    ),
    "rows may be made for others": (
        "CREATE POLICY wide ON article FOR INSERT TO teknav_tenant WITH CHECK (true)",
        "DROP POLICY wide ON article",
        "article: INSERT as another tenant",
    ),
    "a row may be given away": (
        "CREATE POLICY wide ON article FOR UPDATE TO teknav_tenant USING (false) WITH CHECK (true)",
        "DROP POLICY wide ON article",
        "article: UPDATE tenant_id as the tenant",
    ),
    "a global table is granted": (
        'GRANT SELECT ON "user" TO teknav_tenant',
        'REVOKE SELECT ON "user" FROM teknav_tenant',
        "user: SELECT as the tenant",
    ),
    "a month is granted": (
        "DO $$ DECLARE n text; BEGIN SELECT min(relname) INTO n FROM pg_class WHERE relname ~ '^audit_log_\\d'; "
        "EXECUTE format('GRANT SELECT ON %I TO teknav_tenant', n); END $$",
        "DO $$ DECLARE n text; BEGIN SELECT min(relname) INTO n FROM pg_class WHERE relname ~ '^audit_log_\\d'; "
        "EXECUTE format('REVOKE SELECT ON %I FROM teknav_tenant', n); END $$",
        "SELECT by its own name as the tenant",
    ),
}


@pytest.mark.parametrize("what", BREACHES)
async def test_a_missing_wall_is_found(
    database: Database, admin: asyncpg.Connection, inhabited: dict[str, int], what: str
) -> None:
    plant, mend, found = BREACHES[what]
    await admin.execute(plant)
    try:
        cases = await examine(database)
    finally:
        await admin.execute(mend)
    breached = by_result(cases, Result.BREACHED)
    assert any(found in line for line in breached), breached
    assert {line.split(":")[0] for line in breached} <= {found.split(":")[0]} or ":" not in found
    for name, count in inhabited.items():
        assert await admin.fetchval(f'SELECT count(*) FROM "{name}"') == count, name


async def test_an_owner_asks_for_a_run_and_reads_what_came_of_it(
    owner: AsyncClient, drain: Callable[..., Awaitable[int]], admin: asyncpg.Connection
) -> None:
    assert "has not been tried yet" in (await owner.get(PAGE)).text
    asked = await owner.post(RUNS)
    assert (asked.status_code, asked.json()["status"]) == (202, "queued")
    again = await owner.post(RUNS)
    assert (again.status_code, again.json()["code"]) == (409, "already_running")
    assert await drain() == 1
    run = (await owner.get(asked.headers["location"])).json()
    assert (run["status"], run["gotThrough"], run["error"]) == ("held", 0, None)
    assert run["tried"] + run["skipped"] == len(run["cases"])
    assert {"subject", "context", "tried", "expected", "found", "result"} == run["cases"][0].keys()
    listed = (await owner.get(RUNS)).json()["items"]
    assert [one["id"] for one in listed] == [run["id"]]
    assert "cases" not in listed[0]
    actions = await admin.fetch("SELECT outcome FROM audit_log WHERE action = 'owner.isolation.run' ORDER BY id")
    assert [row["outcome"] for row in actions] == ["success", "invalid"]
    page = await owner.get(PAGE)
    assert "Everything held" in page.text and "Held" in page.text
    drawer = await owner.get(f"{PAGE}/{run['id']}", headers=HTMX)
    assert "workspace" in drawer.text and "as another tenant" in drawer.text and "<html" not in drawer.text
    pressed = await owner.post(PAGE, headers=HTMX)
    assert pressed.status_code == 200 and "toast" in pressed.headers["hx-trigger"]
    assert len((await owner.get(RUNS)).json()["items"]) == 2
    assert (await owner.get(f"{RUNS}/{PLATFORM_TENANT}")).status_code == 404


async def test_a_run_that_cannot_end_says_why_and_the_next_one_may_begin(
    owner: AsyncClient, drain: Callable[..., Awaitable[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Database) -> list[Case]:
        raise RuntimeError("the sandbox cannot be made")

    monkeypatch.setattr("app.modules.isolation.processor.examine", broken)
    place = (await owner.post(RUNS)).headers["location"]
    await drain(retries=True)
    run = (await owner.get(place)).json()
    assert run["status"] == "failed" and "the sandbox cannot be made" in run["error"]
    assert run["error"] in (await owner.get(PAGE)).text
    seen: list[str] = []

    async def looking(_: Database) -> list[Case]:
        seen.append((await owner.get(place)).json()["status"])
        return []

    monkeypatch.setattr("app.modules.isolation.processor.examine", looking)
    job = (await owner.get("/api/owner/queues/platform:tasks/dlq")).json()["items"][0]["id"]
    assert (await owner.post(f"/api/owner/queues/platform:tasks/dlq/{job}/replay")).status_code == 200
    await drain()
    assert (seen, (await owner.get(place)).json()["status"]) == (["running"], "held")
    assert (await owner.post(RUNS)).status_code == 202


async def test_breaches_stand_at_the_top(
    owner: AsyncClient, drain: Callable[..., Awaitable[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def case(subject: str, found: str, result: Result) -> Case:
        return Case(
            subject=subject, context="no tenant", tried="SELECT", expected="nothing", found=found, result=result
        )

    async def found(_: Database) -> list[Case]:
        return [case("aa", "nothing", Result.HELD), case("zz", "3 rows", Result.BREACHED)]

    monkeypatch.setattr("app.modules.isolation.processor.examine", found)
    place = (await owner.post(RUNS)).headers["location"]
    await drain()
    run = (await owner.get(place)).json()
    assert (run["status"], run["tried"], run["gotThrough"]) == ("breached", 2, 1)
    assert "1 of 2 got through" in (await owner.get(PAGE)).text
    text = (await owner.get(f"{PAGE}/{run['id']}")).text
    assert text.index(">zz<") < text.index(">aa<")
