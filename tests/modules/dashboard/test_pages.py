"""The overview, made of the modules' cards."""

import re
from collections.abc import Awaitable, Callable

import pytest
from httpx2 import AsyncClient
from litestar import Litestar
from msgspec import structs

from app.core.database import Plane
from app.core.errors import NotFound
from app.core.policy import Actor
from app.core.settings import Settings
from app.modules.dashboard.pages import ComponentPages
from app.registry import MODULES
from tests.modules.ai import stage

TenantClient = Callable[..., Awaitable[AsyncClient]]
Drain = Callable[..., Awaitable[int]]
HOME = "/dashboard/owner"
HTMX = {"HX-Request": "true"}


@pytest.mark.promise("S4-46")
async def test_every_card_is_on_the_overview_and_has_its_live_fragment(owner: AsyncClient, app: Litestar) -> None:
    answer = await owner.get(HOME)
    assert answer.status_code == 200, answer.text
    assert app.state.cards
    for card in app.state.cards:
        name = card.template.removesuffix(".html").replace("/_", "-")
        assert f'id="card-{name}"' in answer.text
        fragment = await owner.get(f"{HOME}/cards/{name}", headers=HTMX)
        assert fragment.status_code == 200
        assert "<html" not in fragment.text
        assert f'data-live="{card.topic}"' in fragment.text
    topics = {topic for card in app.state.cards for topic in card.topic.split()}
    assert topics <= set(app.state.hub.topics), "every card follows topics that exist"


@pytest.mark.promise("S4-57")
async def test_every_page_of_the_menu_has_rows_or_says_that_there_are_none(owner: AsyncClient) -> None:
    paths = {item.path for module in MODULES for item in module.navigation if item.plane in (None, Plane.PLATFORM)}
    assert len(paths) > 25
    shown = {path: (await owner.get(f"{HOME}{path}")).text for path in paths}
    rows = {path for path, text in shown.items() if re.search(r"<tbody>\s*<tr", text)}
    empty = {path for path, text in shown.items() if 'class="empty"' in text}
    assert len(empty) > 15
    assert paths - rows - empty <= {""}, "the overview is made of cards"


async def test_a_card_that_nobody_contributed_is_not_found(owner: AsyncClient) -> None:
    assert (await owner.get(f"{HOME}/cards/weather", headers=HTMX)).status_code == 404


async def test_the_first_steps_are_ticked_off_and_then_leave(
    owner: AsyncClient, tenant_client: TenantClient, drain: Drain
) -> None:
    card = f"{HOME}/cards/dashboard-first_steps"
    client = await tenant_client()  # which makes a tenant and a token
    before = (await owner.get(card, headers=HTMX)).text
    assert before.count(">done<") == 2
    assert "POST /api/v1/articles</code>" in before
    article_id = await stage.article(client)
    assert (await owner.get(card, headers=HTMX)).text.count(">done<") == 3
    await stage.ask(client, article_id)
    await drain()
    after = (await owner.get(card, headers=HTMX)).text
    assert "hidden" in after
    assert "First steps" not in after
    assert "First steps" not in (await owner.get(HOME)).text


async def test_the_ai_card_counts_runs_and_names_the_newest_failures(
    owner: AsyncClient, tenant_client: TenantClient, drain: Drain
) -> None:
    card = f"{HOME}/cards/runs-card"
    assert "No runs today" in (await owner.get(card, headers=HTMX)).text
    client = await tenant_client()
    await stage.ask(client, await stage.article(client))
    await stage.ask(client, await stage.article(client, "An article without text", ""))
    await drain(retries=True)
    text = (await owner.get(card, headers=HTMX)).text
    for status, count in (("running", 0), ("completed", 1), ("failed", 1)):
        tile = re.search(rf'href="[^"]*/ai/runs\?status={status}"(.*?)</a>', text, re.S)
        assert tile is not None
        assert re.search(rf">{count}<", tile[1])
    assert "An article without text" in text
    assert stage.TITLE not in text


async def test_components_are_shown_in_development_only(owner: AsyncClient, settings: Settings) -> None:
    answer = await owner.get(f"{HOME}/components")
    assert answer.status_code == 200
    assert "gallery-dialog" in answer.text
    handler = ComponentPages.components.fn
    with pytest.raises(NotFound):
        await handler(None, None, structs.replace(settings, app_env="prod"))


async def test_the_short_address_leads_to_the_dashboard(client: AsyncClient, owner: AsyncClient) -> None:
    assert (await client.get("/dashboard")).headers["location"] == "/signin?next=/dashboard"
    assert (await owner.get("/dashboard")).headers["location"] == HOME


async def test_the_overview_needs_a_signed_in_owner(
    client: AsyncClient, tenant_client: TenantClient, operator: Actor
) -> None:
    answer = await client.get(HOME)
    assert answer.status_code in (302, 303, 307)
    assert answer.headers["location"].startswith("/signin")
    assert (await (await tenant_client()).get(HOME)).status_code == 403
