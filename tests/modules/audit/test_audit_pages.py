"""The audit log's pages."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.ids import new_id

PATH = "/dashboard/owner/logs/audit"
HTMX = {"HX-Request": "true"}
Teknav = Callable[..., Awaitable[str]]


async def test_the_list_shows_who_did_what(owner: AsyncClient, tenant: Any) -> None:
    page = await owner.get(PATH)
    assert page.status_code == 200, page.text
    assert all(part in page.text for part in ("owner.tenant.create", "cli:test", "Harbour Press", "owner@example.org"))
    assert '<td data-label="Tenant">Platform</td>' in page.text
    assert 'data-live="audit"' in page.text
    assert '<option value="owner.token.revoke">' in page.text
    fragment = await owner.get(PATH, headers=HTMX)
    assert fragment.text.lstrip().startswith('<div id="audit-list"')


@pytest.mark.promise("S4-50")
async def test_filters_stay_in_the_address(owner: AsyncClient, tenant: Any) -> None:
    params = {"action": "owner.tenant.create", "resource": f"tenant:{tenant.id}", "outcome": "", "from": "", "to": ""}
    page = (await owner.get(PATH, params=params)).text
    assert page.count("data-drawer>") == 1
    assert '<option value="owner.tenant.create" selected>' in page
    assert "Nothing fits" in (await owner.get(PATH, params={"to": "2020-01-01"})).text


async def test_the_oldest_come_first_where_that_is_asked_for_on_every_page_and_in_the_command(
    owner: AsyncClient, teknav: Teknav
) -> None:
    for n in range(3):
        await owner.post("/api/owner/tenants", json={"name": f"Press {n}"})
    wanted = {"action": "owner.tenant.create", "sort": "createdAt"}

    def names(items: list[Any]) -> list[str]:
        return [item["resourceLabel"] for item in items]

    first = (await owner.get("/api/owner/logs/audit", params=wanted | {"limit": "2"})).json()
    rest = (
        await owner.get("/api/owner/logs/audit", params=wanted | {"limit": "2", "cursor": first["nextCursor"]})
    ).json()
    assert names(first["items"]) + names(rest["items"]) == ["Press 0", "Press 1", "Press 2"]
    other_way = {"action": "owner.tenant.create", "cursor": first["nextCursor"]}
    assert (await owner.get("/api/owner/logs/audit", params=other_way)).status_code == 400
    page = (await owner.get(PATH, params=wanted)).text
    assert page.index("Press 0") < page.index("Press 1") < page.index("Press 2")
    assert 'aria-sort="ascending"' in page and 'name="sort" value="createdAt"' in page
    assert (await owner.get(PATH, params={"sort": "action"})).status_code == 422
    given = ("--where", "action=owner.tenant.create", "--sort", "createdAt", "--json")
    assert names(json.loads(await teknav("audit", "list", *given))["items"]) == ["Press 0", "Press 1", "Press 2"]


async def test_a_bad_filter_is_told_in_place_of_the_rows(owner: AsyncClient) -> None:
    for headers in ({}, HTMX):
        answer = await owner.get(PATH, params={"actorId": "me"}, headers=headers)
        assert answer.status_code == 422 and answer.text.count("must be a UUID") == 1
        assert "data-drawer>" not in answer.text


async def test_a_person_is_found_by_e_mail(owner: AsyncClient, tenant: Any) -> None:
    page = (await owner.get(PATH, params={"actor": "owner@"})).text
    assert "owner@example.org" in page and "cli:test" not in page and 'value="owner@"' in page


async def test_what_a_processor_does_can_be_chosen_too(owner: AsyncClient) -> None:
    page = (await owner.get(PATH)).text
    for action in ("ai.task.fail", "ai.task.complete", "article.summarize", "session.create"):
        assert f'<option value="{action}">' in page


async def test_an_entry_shows_each_change_before_and_after(
    owner: AsyncClient, tenant: Any, admin: asyncpg.Connection
) -> None:
    await owner.patch(f"/api/owner/tenants/{tenant.id}", json={"name": "Quay <i>Press</i>"})
    id_ = await admin.fetchval("SELECT id FROM audit_log WHERE action = 'owner.tenant.update'")
    for headers in ({}, HTMX):
        entry = (await owner.get(f"{PATH}/{id_}", headers=headers)).text
        assert "Harbour Press" in entry and "Quay &lt;i&gt;Press&lt;/i&gt;" in entry and "<i>Press" not in entry
        assert f"resource=tenant%3A{tenant.id}" in entry and f'href="/dashboard/owner/tenants/{tenant.id}"' in entry
        assert "correlationId=" in entry and "requestId=" in entry
    assert (await owner.get(f"{PATH}/{new_id()}")).status_code == 404


async def test_an_attempt_without_a_thing_can_be_shown(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    await owner.post("/api/owner/tenants", json={"name": ""})
    id_ = await admin.fetchval("SELECT id FROM audit_log WHERE outcome = 'invalid'")
    entry = (await owner.get(f"{PATH}/{id_}", headers=HTMX)).text
    assert "/api/owner/tenants" in entry and "422" in entry
