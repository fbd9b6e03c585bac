"""The end of a tenant: its doors shut, its deletion taken back, its rows erased and nobody else's."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest
from httpx2 import AsyncClient
from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError

from app.core.database import Database, Plane, Scope
from app.core.ids import PLATFORM_TENANT, new_id
from app.core.models import Base
from app.modules.tenants import service
from tests.conftest import Made, TenantClient
from tests.modules.ai.stage import article, ask
from tests.modules.conftest import Teknav

PATH = "/api/owner/tenants"
HTMX = {"HX-Request": "true"}
Drain = Callable[..., Awaitable[int]]
MakeTenant = Callable[[str], Awaitable[Made]]


async def furnish(owner: AsyncClient, tenant_client: TenantClient, tenant: Made, drain: Drain) -> AsyncClient:
    """A tenant that has something of everything: articles, a finished summary and one to do, credentials, quotas."""
    program = await tenant_client(of=tenant)
    await ask(program, await article(program))
    await drain()
    await program.post("/api/v1/articles", json={"title": "Again", "body": "b"}, headers={"Idempotency-Key": "once"})
    credential = {"name": "Importer", "scopes": ["articles:read"]}
    for kind in ("tokens", "clients"):
        assert (await owner.post(f"{PATH}/{tenant.id}/{kind}", json=credential)).status_code == 201
    await owner.patch(f"{PATH}/{tenant.id}/quotas", json={"quotas": {"articles": 100}})
    await ask(program, await article(program, "To do"))
    return program


async def rows_of(admin: asyncpg.Connection, tenant: Made) -> dict[str, int]:
    tables = [table.name for table in Base.metadata.sorted_tables if "tenant_id" in table.c]
    counts = {
        name: await admin.fetchval(f"SELECT count(*) FROM {name} WHERE tenant_id = $1", tenant.id) for name in tables
    }
    return {name: count for name, count in counts.items() if count}


@pytest.mark.promise("S4-49")
async def test_many_tenants_are_suspended_together_or_none_and_resumed_in_api_page_and_command(
    owner: AsyncClient,
    make_tenant: MakeTenant,
    tenant_client: TenantClient,
    teknav: Teknav,
    admin: asyncpg.Connection,
) -> None:
    one, two, gone = [await make_tenant(name) for name in ("One", "Two", "Gone")]
    program = await tenant_client("articles:read", of=one)
    await owner.post(f"{PATH}/{gone.id}/deletion", json={})
    for wrong, status in ((str(gone.id), 409), (str(new_id()), 404), (str(PLATFORM_TENANT), 404)):
        for act in ("suspensions", "resumptions"):
            answer = await owner.post(f"{PATH}/{act}", json={"ids": [str(one.id), wrong]})
            assert answer.status_code == status, answer.text
    assert (await program.get("/api/v1/articles")).status_code == 200, "one could not be, so none was"
    ids = [str(one.id), str(two.id)]
    assert (await owner.post(f"{PATH}/suspensions", json={"ids": ids, "reason": "Unpaid"})).json() == {"changed": 2}
    assert (await program.get("/api/v1/articles")).status_code == 403
    assert (await owner.post(f"{PATH}/suspensions", json={"ids": ids})).json() == {"changed": 0}
    rows = await admin.fetch(
        "SELECT resource_id, reason, after FROM audit_log WHERE action = 'owner.tenant.update' AND outcome = 'success'"
    )
    assert sorted(row["resource_id"] for row in rows) == sorted(ids)
    assert all(row["reason"] == "Unpaid" and '"suspended"' in row["after"] for row in rows)
    pages = "/dashboard/owner/tenants"
    listed = (await owner.get(pages)).text
    assert "Suspend the ticked" in listed
    boxes = {each.id: f'data-row name="ids" value="{each.id}"' in listed for each in (one, two, gone)}
    assert boxes == {one.id: True, two.id: True, gone.id: False}, "one that is being deleted has no box"
    done = await owner.post(f"{pages}/resumptions", data={"ids": ids[0]}, headers=HTMX)
    assert done.status_code == 200 and "Go on: 1." in done.headers["hx-trigger"]
    assert (await program.get("/api/v1/articles")).status_code == 200
    done = await owner.post(f"{pages}/suspensions", data={"ids": ids, "reason": "Audit"}, headers=HTMX)
    assert "Suspended now: 1." in done.headers["hx-trigger"]
    refused = await owner.post(f"{pages}/suspensions", data={}, headers=HTMX)
    assert refused.status_code == 422 and 'data-field="ids"' in refused.text
    assert "One goes on.\nTwo goes on." in await teknav("tenant", "resume", one.slug, two.slug)
    assert "deleted" in await teknav("tenant", "suspend", two.slug, gone.slug, code=1)
    statuses = await admin.fetch("SELECT status FROM tenant WHERE id = ANY($1::uuid[])", [one.id, two.id])
    assert [row["status"] for row in statuses] == ["active", "active"]


@pytest.mark.promise("S4-49")
async def test_a_deleted_tenants_doors_are_shut_until_the_deletion_is_taken_back(
    owner: AsyncClient, tenant: Made, tenant_client: TenantClient, drain: Drain, admin: asyncpg.Connection
) -> None:
    program = await tenant_client("articles:read")
    await owner.patch(f"{PATH}/{tenant.id}", json={"status": "suspended", "reason": "Unpaid"})
    deleted = await owner.post(f"{PATH}/{tenant.id}/deletion", json={"reason": "Asked for"})
    assert deleted.status_code == 200, deleted.text
    body = deleted.json()
    assert (body["status"], body["reason"]) == ("deleting", "Asked for")
    left = datetime.fromisoformat(body["eraseAt"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    assert (await program.get("/api/v1/articles")).json()["code"] == "tenant_suspended"
    for refused in (
        await owner.post(f"{PATH}/{tenant.id}/deletion", json={}),
        await owner.patch(f"{PATH}/{tenant.id}", json={"status": "active"}),
    ):
        assert (refused.status_code, refused.json()["code"]) == (409, "deleting")
    back = await owner.delete(f"{PATH}/{tenant.id}/deletion")
    assert (back.status_code, back.json()["status"], back.json()["eraseAt"]) == (200, "suspended", None)
    assert (await owner.delete(f"{PATH}/{tenant.id}/deletion")).json()["code"] == "not_deleting"
    await admin.execute("UPDATE job SET run_at = now() WHERE kind = 'erase_tenant'")
    assert await drain() == 1
    assert await admin.fetchval("SELECT result FROM job WHERE kind = 'erase_tenant'") == '{"erased": false}'
    await owner.patch(f"{PATH}/{tenant.id}", json={"status": "active"})
    assert (await program.get("/api/v1/articles")).status_code == 200
    told = await admin.fetch(
        "SELECT action, reason FROM audit_log WHERE resource_type = 'tenant' AND outcome = 'success' ORDER BY id"
    )
    assert [(row["action"].removeprefix("owner.tenant."), row["reason"]) for row in told] == [
        ("create", None),
        ("update", "Unpaid"),
        ("delete", "Asked for"),
        ("undelete", None),
        ("update", None),
    ]


@pytest.mark.promise("S4-49")
async def test_erasing_leaves_no_row_of_the_tenant_and_all_of_the_others(
    owner: AsyncClient,
    tenant: Made,
    make_tenant: MakeTenant,
    tenant_client: TenantClient,
    drain: Drain,
    admin: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = await make_tenant("Other")
    await furnish(owner, tenant_client, other, drain)
    program = await furnish(owner, tenant_client, tenant, drain)
    before = await rows_of(admin, tenant)
    wanted = {"workspace", "article", "api_token", "api_client", "tenant_quota", "idempotency_key", "audit_log"}
    wanted |= {"ai_task", "ai_run", "ai_message", "ai_event_log", "job", "job_attempt", "job_effect", "job_key"}
    assert wanted <= set(before)
    theirs = await rows_of(admin, other)
    monkeypatch.setattr(service, "GRACE", timedelta(microseconds=1))
    monkeypatch.setattr("app.modules.tenants.processor.AT_ONCE", 1)  # so that every table takes several rounds
    monkeypatch.setattr("app.modules.tenants.processor.JOBS_AT_ONCE", 1)
    await admin.execute("UPDATE job SET run_at = now() + interval '1 day', delayed = true WHERE finished_at IS NULL")
    assert (await owner.post(f"{PATH}/{tenant.id}/deletion", json={})).status_code == 200
    assert await drain() == 1
    kinds = await admin.fetch("SELECT state, error_message FROM job WHERE kind = 'erase_tenant'")
    assert [tuple(row) for row in kinds] == [("completed", None)]
    assert set(await rows_of(admin, tenant)) <= {"audit_log", "data_access_log"}
    assert await admin.fetchval("SELECT count(*) FROM tenant WHERE id = $1", tenant.id) == 0
    after = await rows_of(admin, other)
    assert after == theirs
    assert (await owner.get(f"{PATH}/{tenant.id}")).status_code == 404
    assert (await program.get("/api/v1/articles")).json()["code"] == "bad_token"
    told = await admin.fetchrow("SELECT * FROM audit_log WHERE action = 'owner.tenant.erase'")
    assert (told["resource_id"], told["actor_kind"]) == (str(tenant.id), "system")


async def test_no_function_erases_events_of_a_tenant_that_is_not_being_deleted(
    database: Database, tenant: Made, owner: AsyncClient
) -> None:
    for plane, message in ((Plane.PLATFORM, "is not to be erased"), (Plane.TENANT, "permission denied")):
        with pytest.raises(DBAPIError, match=message):
            async with database.transaction(Scope(plane, tenant.id)) as session:
                await session.execute(select(func.teknav_erase_ai_events(tenant.id, 10)))
    await owner.post(f"{PATH}/{tenant.id}/deletion", json={})
    with pytest.raises(DBAPIError, match="is not to be erased"):
        async with database.transaction(Scope(Plane.PLATFORM)) as session:
            await session.execute(select(func.teknav_erase_ai_events(tenant.id, 10)))


async def test_no_record_moves_to_another_tenant(
    owner: AsyncClient,
    tenant: Made,
    make_tenant: MakeTenant,
    tenant_client: TenantClient,
    database: Database,
    admin: asyncpg.Connection,
) -> None:
    """Row-level security keeps a tenant from it, and foreign keys over both columns the platform."""
    other = await make_tenant("Other")
    program = await tenant_client()
    workspace = (await owner.get(f"{PATH}/{tenant.id}/workspaces")).json()["items"][0]["id"]
    made = await program.post("/api/v1/articles", json={"title": "A", "body": "b", "workspaceId": workspace})
    where = made.headers["location"]
    assert (await program.patch(where, json={"tenantId": str(other.id)})).status_code == 422
    await ask(program, made.json()["id"])
    names = ("article", "workspace", "api_token", "ai_task", "job", "job_key")
    for table in (Base.metadata.tables[name] for name in names):
        with pytest.raises(DBAPIError, match="row-level security"):
            async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
                await session.execute(update(table).values(tenant_id=other.id))
    for table in (Base.metadata.tables[name] for name in ("article", "ai_task")):
        with pytest.raises(DBAPIError, match="foreign key"):
            async with database.transaction(Scope(Plane.PLATFORM)) as session:
                await session.execute(update(table).where(table.c.tenant_id == tenant.id).values(tenant_id=other.id))
    assert await admin.fetchval("SELECT tenant_id FROM article") == tenant.id


async def test_the_page_suspends_resumes_deletes_and_takes_back(owner: AsyncClient, tenant: Made) -> None:
    page = f"/dashboard/owner/tenants/{tenant.id}"

    async def act(path: str = "", **form: str) -> str:
        done = await owner.post(page + path, data=form, headers=HTMX)
        assert (done.status_code, done.headers["hx-redirect"]) == (200, page), done.text
        return (await owner.get(page)).text

    assert "is suspended: Unpaid" in await act(status="suspended", reason="Unpaid", version="1")
    assert "is suspended" not in await act(status="active")
    shut = await act("/deletion", reason="Asked for")
    assert "Take the deletion back" in shut and ">Delete</button>" not in shut
    assert "Take the deletion back" not in await act("/restoration")


async def test_a_workspace_is_renamed_and_deleted_when_nothing_is_in_it(
    owner: AsyncClient, tenant: Made, tenant_client: TenantClient, admin: asyncpg.Connection
) -> None:
    here = f"{PATH}/{tenant.id}/workspaces"
    main = (await owner.get(here)).json()["items"][0]
    last = await owner.delete(f"{here}/{main['id']}")
    assert (last.status_code, last.json()["code"]) == (409, "last_workspace")
    made = (await owner.post(here, json={"name": "Maps"})).json()
    named = await owner.patch(f"{here}/{made['id']}", json={"name": "Charts"}, headers={"If-Match": '"1"'})
    assert (named.json()["name"], named.json()["slug"], named.headers["etag"]) == ("Charts", "maps", '"2"')
    assert (await owner.patch(f"{here}/{made['id']}", json={"name": "main"})).json()["code"] == "name_taken"
    assert (
        await owner.patch(f"{here}/{made['id']}", json={"name": "X"}, headers={"If-Match": '"1"'})
    ).status_code == 412
    program = await tenant_client()
    kept = await program.post("/api/v1/articles", json={"title": "A", "body": "b", "workspaceId": made["id"]})
    refused = await owner.delete(f"{here}/{made['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_empty")
    assert "Charts: article" in refused.json()["detail"]
    await admin.execute("DELETE FROM article_version WHERE article_id = $1", kept.json()["id"])
    await admin.execute("DELETE FROM article WHERE id = $1", kept.json()["id"])
    assert (await owner.delete(f"{here}/{made['id']}")).status_code == 204
    assert (await owner.get(f"{here}/{made['id']}")).status_code == 404
    actions = await admin.fetch(
        "SELECT action FROM audit_log WHERE resource_type = 'workspace' AND outcome = 'success' ORDER BY id"
    )
    assert [row["action"].rpartition(".")[2] for row in actions] == ["create", "update", "delete"]


async def test_the_workspaces_have_a_page_a_drawer_and_buttons(owner: AsyncClient, tenant: Made) -> None:
    page = f"/dashboard/owner/tenants/{tenant.id}/workspaces"
    made = (await owner.post(f"{PATH}/{tenant.id}/workspaces", json={"name": "Maps"})).json()
    assert "Maps" in (await owner.get(page)).text
    drawer = await owner.get(f"{page}/{made['id']}", headers=HTMX)
    assert "<html" not in drawer.text and 'value="Maps"' in drawer.text
    for query, names in (
        ("q=AP", ["Maps"]),
        ("sort=name", ["Main", "Maps"]),
        ("sort=-name", ["Maps", "Main"]),
        ("sort=createdAt", ["Main", "Maps"]),
    ):
        found = (await owner.get(f"{PATH}/{tenant.id}/workspaces?{query}")).json()["items"]
        shown = re.findall(r'class="row-link"[^>]*>(\w+)<', (await owner.get(f"{page}?{query}")).text)
        assert [one["name"] for one in found] == shown == names, query
    assert "No workspace fits" in (await owner.get(f"{page}?q=nothing")).text
    assert (await owner.get(f"{page}?sort=slug")).status_code == 422
    renamed = await owner.post(f"{page}/{made['id']}", data={"name": "Charts", "version": "1"}, headers=HTMX)
    assert "Charts" in renamed.text and "Charts" in renamed.headers["hx-trigger"]
    gone = await owner.post(f"{page}/{made['id']}/removal", headers=HTMX)
    assert gone.status_code == 200 and "Charts" not in gone.text


async def test_the_export_of_a_tenant_holds_all_that_is_its_and_nothing_else(
    owner: AsyncClient,
    tenant: Made,
    make_tenant: MakeTenant,
    tenant_client: TenantClient,
    drain: Drain,
    admin: asyncpg.Connection,
) -> None:
    other = await make_tenant("Other")
    for each in (other, tenant):
        await furnish(owner, tenant_client, each, drain)
    wanted = {"list": "tenant", "format": "ndjson", "filter": {"tenantId": str(tenant.id)}}
    counts = await rows_of(admin, tenant)
    made = await owner.post("/api/owner/exports", json=wanted)
    assert made.status_code == 202, made.text
    told = "SELECT tenant_id FROM audit_log WHERE action = 'owner.export.create'"
    assert await admin.fetchval(told) == tenant.id, "whose rows were taken away finds it in its log"
    await drain()
    file = await owner.get(f"{made.headers['location']}/file")
    rows = [msgspec.json.decode(line) for line in file.text.splitlines()]
    assert {row["row"].get("tenant_id", str(tenant.id)) for row in rows} == {str(tenant.id)}
    found = Counter(row["table"] for row in rows)
    assert found["tenant"] == 1
    # The jobs went on meanwhile: they leave more behind, and give their keys back.
    for table in set(counts) - {"job_key"}:
        assert found[table] == counts[table] or (found[table] > counts[table] and table.startswith("job_")), table
    assert {row["row"]["title"] for row in rows if row["table"] == "article"} >= {"Again", "To do"}
    assert "token_hash" not in file.text and "Other" not in file.text
    for given in ({}, {"tenantId": "x"}, {"tenantId": str(tenant.id), "status": "x"}):
        refused = await owner.post("/api/owner/exports", json=wanted | {"filter": given})
        assert (refused.status_code, len(refused.json()["errors"])) == (422, 1)
