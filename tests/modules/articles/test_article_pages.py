"""The owner's pages of articles."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from httpx2 import AsyncClient

from app.core.ids import new_id
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
    await post(await tenant_client(of=other), title="Tomatoes")

    async def titles(**params: str) -> set[str]:
        page = await owner.get(PAGES, params=params, headers=HTMX)
        assert page.status_code == 200, page.text
        return {title for title in ("100% tides_and", "1000 tides", "Tomatoes") if title in page.text}

    assert await titles() == {"100% tides_and", "1000 tides", "Tomatoes"}
    assert await titles(title="TIDES") == {"100% tides_and", "1000 tides"}
    assert await titles(title="100%") == {"100% tides_and"}
    assert await titles(title="tides_") == {"100% tides_and"}
    assert await titles(status="published", title="", tenant="") == {"100% tides_and"}
    assert await titles(tenant=str(other.id)) == {"Tomatoes"}
    assert "No article fits" in (await owner.get(PAGES, params={"title": "nothing"})).text
    for wrong in ({"status": "odd"}, {"tenant": "odd"}, {"title": "\0"}, {"cursor": "odd"}):
        page = await owner.get(PAGES, params=wrong, headers=HTMX)
        assert page.status_code in (400, 422)
        assert page.headers["hx-retarget"] == "#toasts"


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
