"""The tenants' pages of the dashboard."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from httpx2 import AsyncClient

from app.core.ids import new_id

PATH = "/dashboard/owner/tenants"
HTMX = {"HX-Request": "true"}


async def test_without_tenants_the_page_says_what_one_is(owner: AsyncClient) -> None:
    page = await owner.get(PATH)
    assert page.status_code == 200, page.text
    assert "No tenants yet" in page.text
    assert 'data-live="tenants"' in page.text


async def test_the_list_is_the_page_and_the_fragment(owner: AsyncClient, tenant: Any) -> None:
    page = await owner.get(PATH)
    fragment = await owner.get(PATH, headers=HTMX)
    assert page.text.startswith("<!doctype html>") and "Harbour Press" in page.text
    assert fragment.text.lstrip().startswith('<div id="tenant-list"') and "Harbour Press" in fragment.text
    assert "HX-Request" in fragment.headers["vary"]


async def test_filters_and_pages_keep_each_other(
    owner: AsyncClient, make_tenant: Callable[[str], Awaitable[Any]]
) -> None:
    for n in range(27):
        await make_tenant(f"House {n:02}")
    await make_tenant("Mill")
    page = (await owner.get(PATH, params={"q": "house"})).text
    assert "House 26" in page and "House 01" not in page and "Mill" not in page
    following = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    rest = (await owner.get(following)).text
    assert "House 01" in rest and "House 26" not in rest and "Mill" not in rest
    assert "No tenant fits" in (await owner.get(PATH, params={"q": "nowhere"})).text
    assert "No tenant fits" in (await owner.get(PATH, params={"q": "house", "status": "suspended"})).text
    assert (await owner.get(PATH, params={"status": "odd"})).status_code == 422


async def test_the_form_makes_a_tenant_and_leads_to_it(owner: AsyncClient) -> None:
    made = await owner.post(PATH, data={"name": "Casa <b>Verde</b>"}, headers=HTMX)
    assert made.status_code == 200, made.text
    page = await owner.get(made.headers["hx-redirect"])
    assert page.status_code == 200
    assert "Casa &lt;b&gt;Verde&lt;/b&gt;" in page.text and "<b>Verde" not in page.text
    assert "Main" in page.text


async def test_a_bad_name_is_marked_at_its_field(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    answer = await owner.post(PATH, data={"name": " "}, headers=HTMX)
    assert answer.status_code == 422
    assert answer.headers["hx-retarget"] == "#toasts"
    assert 'data-field="name"' in answer.text
    assert await admin.fetchval("SELECT count(*) FROM tenant") == 1


async def test_a_tenant_is_not_left_without_a_name(owner: AsyncClient, tenant: Any) -> None:
    answer = await owner.post(f"{PATH}/{tenant.id}", data={"name": "", "version": "1"}, headers=HTMX)
    assert answer.status_code == 422 and 'data-field="name"' in answer.text


async def test_a_row_opens_in_the_drawer_and_as_a_page(owner: AsyncClient, tenant: Any) -> None:
    drawer = await owner.get(f"{PATH}/{tenant.id}", headers=HTMX)
    assert 'id="drawer-title"' in drawer.text and "Main" in drawer.text
    page = await owner.get(f"{PATH}/{tenant.id}")
    assert f'href="{PATH}/{tenant.id}/tokens"' in page.text
    missing = await owner.get(f"{PATH}/{new_id()}")
    assert missing.status_code == 404 and "There is no such tenant" in missing.text


async def test_editing_what_somebody_else_has_changed_is_refused(owner: AsyncClient, tenant: Any) -> None:
    form = {"name": "Quay Press", "status": "suspended", "version": "1"}
    first = await owner.post(f"{PATH}/{tenant.id}", data=form, headers=HTMX)
    assert first.headers["hx-redirect"] == f"{PATH}/{tenant.id}"
    page = (await owner.get(f"{PATH}/{tenant.id}")).text
    assert "Quay Press" in page and "suspended" in page
    late = await owner.post(f"{PATH}/{tenant.id}", data=form | {"name": "Late"}, headers=HTMX)
    assert late.status_code == 412 and "in the meantime" in late.text


async def test_a_new_workspace_appears_with_a_message(owner: AsyncClient, tenant: Any) -> None:
    answer = await owner.post(f"{PATH}/{tenant.id}/workspaces", data={"name": "Çağ"}, headers=HTMX)
    assert answer.status_code == 200, answer.text
    assert answer.text.lstrip().startswith('<div id="workspace-list"') and "Çağ" in answer.text
    assert answer.headers["hx-trigger"].isascii()
    assert json.loads(answer.headers["hx-trigger"])["toast"]["message"] == "The workspace Çağ was made."


async def test_workspaces_go_on_over_pages(owner: AsyncClient, tenant: Any) -> None:
    for n in range(25):
        await owner.post(f"{PATH}/{tenant.id}/workspaces", data={"name": f"Desk {n:02}"}, headers=HTMX)
    page = (await owner.get(f"{PATH}/{tenant.id}/workspaces")).text
    assert "Desk 24" in page and ">Main<" not in page
    following = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert ">Main<" in (await owner.get(following, headers=HTMX)).text
    assert ">Main<" in (await owner.get(following)).text
