"""The owner's pages of articles."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.ids import PLATFORM_TENANT, new_id
from tests.modules.articles.test_article_api import HERE, Clients, post

MakeTenant = Callable[[str], Awaitable[Any]]
PAGES = "/dashboard/owner/articles"
HTMX = {"HX-Request": "true"}


async def test_the_list_shows_all_tenants_articles_with_their_tenant(
    owner: AsyncClient, tenant_client: Clients, make_tenant: MakeTenant
) -> None:
    await post(await tenant_client(), title="Tides & <b>moons</b>")
    await post(await tenant_client(of=await make_tenant("Casa Verde")), title="Tomatoes")
    page = await owner.get(PAGES)
    assert page.status_code == 200
    assert "<html" in page.text
    for text in ("Tides &amp; &lt;b&gt;moons&lt;/b&gt;", "Tomatoes", "Harbour Press", "Casa Verde"):
        assert text in page.text
    part = await owner.get(PAGES, headers=HTMX)
    assert "<html" not in part.text
    assert 'data-live="articles"' in part.text
    assert "HX-Request" in part.headers["vary"]


async def test_filters_stand_in_the_address(
    owner: AsyncClient, tenant_client: Clients, make_tenant: MakeTenant
) -> None:
    other = await make_tenant("Casa Verde")
    mine = await tenant_client()
    tides = await post(mine, title="100% tides_and winds")
    await post(mine, title="1000 tides and winds")
    await mine.post(f"{HERE}/{tides['id']}/publication")
    await post(await tenant_client(of=other), title="Tomatoes", body="They are red.")

    async def titles(**params: str) -> set[str]:
        page = await owner.get(PAGES, params=params, headers=HTMX)
        assert page.status_code == 200, page.text
        return {title for title in ("100% tides_and", "1000 tides", "Tomatoes") if title in page.text}

    assert await titles() == {"100% tides_and", "1000 tides", "Tomatoes"}
    assert await titles(q="TIDES") == {"100% tides_and", "1000 tides"}
    assert await titles(q="wind tide") == {"100% tides_and", "1000 tides"}, "words in any form"
    assert await titles(q="Tomatos") == {"Tomatoes"}, "nearly spelt"
    assert await titles(q="tides", sort="title") == {"100% tides_and", "1000 tides"}
    assert await titles(status="published", q="", tenantId="") == {"100% tides_and"}
    assert await titles(tenantId=str(other.id)) == {"Tomatoes"}
    assert "No article fits" in (await owner.get(PAGES, params={"q": "nothing"})).text
    page = await owner.get(PAGES, params={"cursor": "odd"}, headers=HTMX)
    assert (page.status_code, page.headers["hx-retarget"]) == (400, "#toasts")
    for wrong in ({"status": "odd"}, {"tenantId": "odd"}, {"q": "\0"}, {"from": "odd"}, {"sort": "relevance"}):
        page = await owner.get(PAGES, params=wrong, headers=HTMX)
        assert page.status_code == 422 and next(iter(wrong)) in page.text


async def test_a_long_list_goes_on_by_cursor(owner: AsyncClient, tenant_client: Clients) -> None:
    app = await tenant_client()
    for n in range(27):
        await post(app, title=f"Number {n}.")
    first = (await owner.get(PAGES)).text
    assert "Number 26." in first
    assert "Number 1." not in first
    following = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = (await owner.get(following)).text
    assert "Number 1." in second
    assert "Number 26." not in second


async def test_a_row_opens_as_a_drawer_and_as_a_page(
    owner: AsyncClient, tenant_client: Clients, admin: asyncpg.Connection
) -> None:
    made = await post(await tenant_client())
    await admin.execute(
        "UPDATE article SET summary = 'The sea comes twice.', summary_keywords = '[\"sea\"]', "
        "summary_provider = 'local', summary_at = now()"
    )
    here = f"{PAGES}/{made['id']}"
    page, drawer = await owner.get(here), await owner.get(here, headers=HTMX)
    part = await owner.get(here, params={"part": "true"}, headers=HTMX)
    for answer in (page, drawer, part):
        assert answer.status_code == 200
        assert "<em>twice</em>" in answer.text
        assert "<script>alert" not in answer.text
        assert "The sea comes twice." in answer.text
    assert "<html" in page.text
    assert 'id="drawer-title"' in drawer.text
    assert 'id="drawer-title"' not in part.text
    assert (await owner.get(f"{PAGES}/{new_id()}")).status_code == 404


@pytest.mark.promise("S4-48")
async def test_the_owner_writes_for_a_tenant_and_members_for_their_own(
    owner: AsyncClient, member: Any, tenant: Any, tenant_client: Clients, admin: asyncpg.Connection
) -> None:
    anna = await member("anna@example.org", "editor")
    sent = await owner.get(f"{PAGES}/new", params={"tenant": str(tenant.id)})
    homes = ((owner, "/dashboard/owner", sent.headers["location"].removesuffix("/new")),)
    homes += ((anna, f"/dashboard/t/{tenant.slug}", f"/dashboard/t/{tenant.slug}/articles"),)
    for person, prefix, home in homes:
        assert "<textarea" in (await person.get(f"{home}/new")).text
        form = {"title": "Tides", "body": "Twice.\r\n\r\nA day.", "language": "en", "slug": "", "reason": ""}
        answer = await person.post(home, data=form)
        assert answer.status_code == 200, answer.text
        page, here = answer.headers["hx-redirect"], f"{home}/{answer.headers['hx-redirect'][-36:]}"
        assert page.startswith(f"{prefix}/articles/")
        assert "Twice.\n\nA day.</textarea>" in (await person.get(f"{here}/edit")).text
        wrong = await person.post(here, data=form | {"language": "english!"})
        assert wrong.status_code in (400, 422) and "language" in wrong.text
        assert (await person.post(here, data=form | {"body": "Late", "version": "9"})).status_code == 412
        changed = form | {"body": "Thrice.", "version": "1", "reason": "Counted"}
        assert (await person.post(here, data=changed)).headers["hx-redirect"] == page
        told = []
        for act in ("submission", "withdrawal", "submission", "publication"):
            answer = await person.post(f"{here}/{act}", data={})
            assert answer.status_code == 200, answer.text
            told.append(json.loads(answer.headers["hx-trigger"])["toast"]["message"])
        assert told[-1] == "Readers see “Tides” now."
        versions = (await person.get(f"{here}/versions")).text
        assert "Version 2" in versions and "readers see it" in versions and "Counted" in versions
        diff = await person.get(f"{here}/versions/2", headers=HTMX)
        assert "<del>- Twice." in diff.text and "<ins>+ Thrice." in diff.text
        assert (await person.post(f"{here}/versions/1/restoration")).headers["hx-redirect"] == page
        shown = (await person.get(page)).text
        assert "version 2</a>, not this one" in shown
        assert (await person.post(f"{here}/unpublication", data={})).status_code == 200
        assert (await person.post(f"{here}/removal", data={})).headers["hx-redirect"] == f"{prefix}/articles"
        assert (await person.get(page)).status_code == 404
    rows = await admin.fetch(
        "SELECT DISTINCT tenant_id FROM audit_log WHERE action LIKE 'article.%' AND outcome = 'success'"
    )
    assert [row["tenant_id"] for row in rows] == [tenant.id], "the owner acts in the tenant"
    reader = await member("vera@example.org", "viewer")
    assert (await reader.get(f"/dashboard/t/{tenant.slug}/articles/new")).status_code == 403


async def test_below_a_tenant_the_owner_reaches_that_tenants_articles_only(
    owner: AsyncClient, tenant: Any, tenant_client: Clients, make_tenant: MakeTenant
) -> None:
    other = await make_tenant("Casa Verde")
    foreign = await post(await tenant_client(of=other))
    here = f"/api/owner/tenants/{tenant.id}/articles"
    made = await owner.post(here, json={"title": "Tides", "body": ""}, headers={"Idempotency-Key": "one"})
    assert made.status_code == 201 and made.headers["location"] == f"{here}/{made.json()['id']}"
    again = await owner.post(here, json={"title": "Tides", "body": ""}, headers={"Idempotency-Key": "one"})
    assert again.json() == made.json()
    assert [one["title"] for one in (await owner.get(here)).json()["items"]] == ["Tides"]
    listed = (await owner.get("/api/owner/articles", params={"q": "tide"})).json()["items"]
    assert {one["tenantId"] for one in listed} == {str(tenant.id), str(other.id)}
    assert (await owner.get(f"{here}/{made.json()['id']}/versions/1")).json()["body"] == ""
    assert (await owner.patch(f"{here}/{foreign['id']}", json={"title": "x"})).status_code == 404
    for nobody in (new_id(), PLATFORM_TENANT):
        for answer in (
            await owner.get(f"/api/owner/tenants/{nobody}/articles"),
            await owner.post(f"/api/owner/tenants/{nobody}/articles", json={"title": "x", "body": ""}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_tenants_token_does_not_open_the_owners_pages(tenant_client: Clients, client: AsyncClient) -> None:
    assert (await (await tenant_client()).get(PAGES)).status_code == 403
    answer = await client.get(PAGES)
    assert answer.headers["location"].startswith("/signin")


async def test_pictures_are_links_and_a_heading_that_repeats_the_title_is_left_out(
    owner: AsyncClient, tenant_client: Clients
) -> None:
    body = (
        '# Tides & *moons*\n\nTwice a day.\n\n![A <boat> > at "sea"](https://example.org/b.png?a=1&b=2)\n\n'
        "![](/dashboard/owner/x.png)\n\n[![Shop](https://example.org/s.png)](https://example.org/shop)\n"
    )
    made = await post(await tenant_client(), title="Tides & moons", body=body)
    page = (await owner.get(f"{PAGES}/{made['id']}", headers=HTMX)).text
    prose = page[page.index('<div class="prose"') :]
    assert "<h1>" not in prose and "<img" not in prose
    assert '<a href="https://example.org/b.png?a=1&amp;b=2"' in prose
    assert "[Picture: A &lt;boat&gt; &gt; at &quot;sea&quot;]" in prose
    assert 'href="/dashboard/owner/x.png"' not in prose and "without a description" in prose
    assert "<span>[Picture: Shop]</span></a>" in prose
    other = await post(await tenant_client(), title="Another title", body=body)
    assert "<h1>Tides &amp; <em>moons</em></h1>" in (await owner.get(f"{PAGES}/{other['id']}", headers=HTMX)).text
