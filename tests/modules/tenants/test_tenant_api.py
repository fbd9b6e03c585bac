"""Tenants and workspaces by `/api/owner/tenants`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.ids import PLATFORM_TENANT, new_id

PATH = "/api/owner/tenants"


async def test_a_new_tenant_gets_a_slug_and_a_first_workspace(owner: AsyncClient) -> None:
    made = await owner.post(PATH, json={"name": "  Casa Verde  "})
    assert made.status_code == 201, made.text
    body = made.json()
    assert (body["name"], body["slug"], body["status"], body["version"]) == ("Casa Verde", "casa-verde", "active", 1)
    assert made.headers["location"] == f"{PATH}/{body['id']}"
    assert made.headers["etag"] == '"1"'
    workspaces = (await owner.get(f"{PATH}/{body['id']}/workspaces")).json()["items"]
    assert [(w["name"], w["slug"], w["tenantId"]) for w in workspaces] == [("Main", "main", body["id"])]


@pytest.mark.parametrize(
    ("name", "slug"),
    [("نشر آبی", "نشر-آبی"), ("Çağ Ürünü", "çağ-ürünü"), ("Platform", "platform-2")],
)
async def test_slugs_keep_other_scripts_and_stay_clear_of_the_platform(
    owner: AsyncClient, name: str, slug: str
) -> None:
    assert (await owner.post(PATH, json={"name": name})).json()["slug"] == slug


async def test_names_of_one_slug_created_at_once_get_different_slugs(
    make_tenant: Callable[[str], Awaitable[Any]], owner: AsyncClient
) -> None:
    await asyncio.gather(*(make_tenant(f"North{'!' * n}") for n in range(5)))
    slugs = {item["slug"] for item in (await owner.get(PATH)).json()["items"]}
    assert slugs == {"north", "north-2", "north-3", "north-4", "north-5"}


async def test_a_name_is_taken_once_whatever_the_case_and_whoever_comes_first(owner: AsyncClient) -> None:
    made = await asyncio.gather(*(owner.post(PATH, json={"name": name}) for name in ("Quay", "QUAY", " quay ")))
    assert sorted(answer.status_code for answer in made) == [201, 409, 409]
    assert {answer.json()["code"] for answer in made if answer.status_code == 409} == {"name_taken"}
    other = (await owner.post(PATH, json={"name": "Other"})).json()
    here = f"{PATH}/{other['id']}"
    assert (await owner.patch(here, json={"name": "quay"})).json()["code"] == "name_taken"
    assert (await owner.patch(here, json={"name": "OTHER"})).json()["name"] == "OTHER", "its own name is no other's"


async def test_a_name_of_signs_only_is_refused(owner: AsyncClient, tenant: Any) -> None:
    for path in (PATH, f"{PATH}/{tenant.id}/workspaces"):
        answer = await owner.post(path, json={"name": "!!!"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "name")


async def test_the_platforms_own_tenant_is_never_found(owner: AsyncClient) -> None:
    assert (await owner.get(PATH)).json()["items"] == []
    missing = await owner.get(f"{PATH}/{new_id()}")
    reserved = await owner.get(f"{PATH}/{PLATFORM_TENANT}")
    assert missing.status_code == reserved.status_code == 404
    without = {"requestId"}
    assert {k: v for k, v in missing.json().items() if k not in without} == {
        k: v for k, v in reserved.json().items() if k not in without
    }
    assert (await owner.get(f"{PATH}/{PLATFORM_TENANT}/workspaces")).status_code == 404


async def test_a_list_goes_on_where_the_page_before_ended(
    make_tenant: Callable[[str], Awaitable[Any]], owner: AsyncClient
) -> None:
    for n in range(5):
        await make_tenant(f"House {n}")
    first = (await owner.get(PATH, params={"limit": 2})).json()
    second = (await owner.get(PATH, params={"limit": 2, "cursor": first["nextCursor"]})).json()
    back = (await owner.get(PATH, params={"limit": 2, "cursor": second["prevCursor"]})).json()
    assert [t["name"] for t in first["items"] + second["items"]] == ["House 4", "House 3", "House 2", "House 1"]
    assert back["items"] == first["items"]
    other = await owner.get(PATH, params={"limit": 2, "q": "House", "cursor": first["nextCursor"]})
    assert (other.status_code, other.json()["code"]) == (400, "bad_cursor")


async def test_search_takes_signs_literally(make_tenant: Callable[[str], Awaitable[Any]], owner: AsyncClient) -> None:
    for name in ("100% Paper", "Paper", "Pa_er"):
        await make_tenant(name)
    found = (await owner.get(PATH, params={"q": "0%"})).json()["items"]
    assert [t["name"] for t in found] == ["100% Paper"]
    assert [t["name"] for t in (await owner.get(PATH, params={"q": "a_E"})).json()["items"]] == ["Pa_er"]
    assert (await owner.get(PATH, params={"q": "a\0"})).status_code == 422


async def test_a_stale_etag_changes_nothing(owner: AsyncClient, tenant: Any) -> None:
    address = f"{PATH}/{tenant.id}"
    etag = (await owner.get(address)).headers["etag"]
    renamed = await owner.patch(address, json={"name": "Quay Press"}, headers={"If-Match": etag})
    assert (renamed.status_code, renamed.headers["etag"]) == (200, '"2"')
    late = await owner.patch(address, json={"name": "Late"}, headers={"If-Match": etag})
    assert (late.status_code, late.json()["code"]) == (412, "stale")
    now = (await owner.get(address)).json()
    assert (now["name"], now["slug"], now["version"]) == ("Quay Press", "harbour-press", 2)
    same = await owner.patch(address, json={"name": "Quay Press"}, headers={"If-Match": '"1", "2"'})
    assert same.json()["version"] == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " \t "}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": 7}, "name"),
        ({"name": "A", "colour": "red"}, "colour"),
        ({}, "name"),
    ],
)
async def test_a_bad_field_is_named_and_nothing_is_written(
    owner: AsyncClient, admin: asyncpg.Connection, body: dict[str, object], field: str
) -> None:
    answer = await owner.post(PATH, json=body)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert field in answer.text
    assert await admin.fetchval("SELECT count(*) FROM tenant") == 1
    assert await admin.fetchval("SELECT count(*) FROM audit_log WHERE action = 'owner.tenant.create'") == 1
    assert await admin.fetchval("SELECT outcome FROM audit_log WHERE action = 'owner.tenant.create'") == "invalid"


async def test_a_workspace_belongs_to_its_tenant_alone(
    owner: AsyncClient, make_tenant: Callable[[str], Awaitable[Any]], tenant: Any
) -> None:
    other = await make_tenant("Other")
    made = await owner.post(f"{PATH}/{tenant.id}/workspaces", json={"name": "Maps"})
    again = await owner.post(f"{PATH}/{tenant.id}/workspaces", json={"name": "Maps"})
    assert (made.status_code, made.json()["slug"]) == (201, "maps")
    assert (again.status_code, again.json()["code"]) == (409, "name_taken")
    assert (await owner.post(f"{PATH}/{other.id}/workspaces", json={"name": "Maps"})).status_code == 201
    assert (await owner.get(made.headers["location"])).json() == made.json()
    foreign = await owner.get(f"{PATH}/{other.id}/workspaces/{made.json()['id']}")
    assert foreign.status_code == 404


async def test_every_change_is_in_the_audit_log(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    made = (await owner.post(PATH, json={"name": "Traced"})).json()
    await owner.patch(f"{PATH}/{made['id']}", json={"status": "suspended"})
    rows = await admin.fetch(
        "SELECT action, actor_kind, actor_label, before, after, changed_fields, request_id, outcome FROM audit_log "
        "WHERE resource_type = 'tenant' AND resource_id = $1 ORDER BY id",
        made["id"],
    )
    assert [row["action"] for row in rows] == ["owner.tenant.create", "owner.tenant.update"]
    assert {row["actor_label"] for row in rows} == {"owner@example.org"}
    assert rows[1]["changed_fields"] == '["status"]'
    assert (rows[1]["before"], rows[1]["after"]) == ('{"status": "active"}', '{"status": "suspended"}')
    assert all(UUID(row["request_id"]) and row["outcome"] == "success" for row in rows)


async def test_a_suspended_tenants_tokens_are_refused(
    owner: AsyncClient, tenant: Any, tenant_client: Callable[..., Awaitable[AsyncClient]]
) -> None:
    program = await tenant_client("articles:read")
    assert (await program.get("/api/v1/articles")).status_code == 200
    await owner.patch(f"{PATH}/{tenant.id}", json={"status": "suspended"})
    answer = await program.get("/api/v1/articles")
    assert (answer.status_code, answer.json()["code"]) == (403, "tenant_suspended")
    assert answer.json()["detail"] == "This tenant is suspended"


async def test_a_tenants_token_cannot_reach_tenants(tenant_client: Callable[..., Awaitable[AsyncClient]]) -> None:
    program = await tenant_client("articles:read")
    for answer in (await program.get(PATH), await program.post(PATH, json={"name": "Mine"})):
        assert answer.status_code == 403, answer.text
